"""The promise of the stream: every chunk, byte for byte."""

import pytest

from archestra_gateway.agent import chunks
from archestra_gateway.agent.chunks import Chunk

CASES: list[tuple[Chunk, bytes]] = [
    (
        chunks.start("m", {"a": 1}),
        b'event: message_start\nid: 1\ndata: {"type":"start","messageId":"m","messageMetadata":{"a":1}}\n\n',
    ),
    (chunks.START_STEP, b'id: 1\ndata: {"type":"start-step"}\n\n'),
    (chunks.text_start("t1"), b'id: 1\ndata: {"type":"text-start","id":"t1"}\n\n'),
    (
        chunks.text_delta("t1", "Hé\n"),
        'event: content_delta\nid: 1\ndata: {"type":"text-delta","id":"t1","delta":"Hé\\n"}\n\n'.encode(),
    ),
    (chunks.text_end("t1"), b'id: 1\ndata: {"type":"text-end","id":"t1"}\n\n'),
    (chunks.reasoning_start("r1"), b'id: 1\ndata: {"type":"reasoning-start","id":"r1"}\n\n'),
    (
        chunks.reasoning_delta("r1", "x"),
        b'event: data_part\nid: 1\ndata: {"type":"reasoning-delta","id":"r1","delta":"x"}\n\n',
    ),
    (chunks.reasoning_end("r1"), b'id: 1\ndata: {"type":"reasoning-end","id":"r1"}\n\n'),
    (
        chunks.tool_input_start("c", "a__b", is_ours=True),
        b'event: tool_call_start\nid: 1\ndata: {"type":"tool-input-start","toolCallId":"c","toolName":"a__b",'
        b'"providerExecuted":true,"dynamic":true}\n\n',
    ),
    (
        chunks.tool_input_start("c", "mine", is_ours=False),
        b'event: tool_call_start\nid: 1\ndata: {"type":"tool-input-start","toolCallId":"c",'
        b'"toolName":"mine"}\n\n',
    ),
    (
        chunks.tool_input_delta("c", '{"'),
        b'id: 1\ndata: {"type":"tool-input-delta","toolCallId":"c","inputTextDelta":"{\\""}\n\n',
    ),
    (
        chunks.tool_input_available("c", "a__b", {"x": None}, is_ours=True),
        b'id: 1\ndata: {"type":"tool-input-available","toolCallId":"c","toolName":"a__b","input":{"x":null},'
        b'"providerExecuted":true,"dynamic":true}\n\n',
    ),
    (
        chunks.tool_output("c", {"content": []}),
        b'event: tool_call_result\nid: 1\ndata: {"type":"tool-output-available","toolCallId":"c",'
        b'"output":{"content":[]},"providerExecuted":true,"dynamic":true}\n\n',
    ),
    (
        chunks.tool_error("c", "no"),
        b'event: tool_call_result\nid: 1\ndata: {"type":"tool-output-error","toolCallId":"c",'
        b'"errorText":"no","providerExecuted":true,"dynamic":true}\n\n',
    ),
    (
        chunks.notice("so"),
        b'event: data_part\nid: 1\ndata: {"type":"data-notice","data":{"message":"so"}}\n\n',
    ),
    (
        chunks.data("x", [], part="p", is_transient=True),
        b'event: data_part\nid: 1\ndata: {"type":"data-x","data":[],"id":"p","transient":true}\n\n',
    ),
    (
        chunks.tool_approval_request("a", "c"),
        b'id: 1\ndata: {"type":"tool-approval-request","approvalId":"a","toolCallId":"c"}\n\n',
    ),
    (
        chunks.metadata({"a": 1}),
        b'id: 1\ndata: {"type":"message-metadata","messageMetadata":{"a":1}}\n\n',
    ),
    (chunks.FINISH_STEP, b'id: 1\ndata: {"type":"finish-step"}\n\n'),
    (chunks.ABORT, b'id: 1\ndata: {"type":"abort"}\n\n'),
    (
        chunks.finish({}),
        b'event: message_complete\nid: 1\ndata: {"type":"finish","messageMetadata":{}}\n\n',
    ),
    (chunks.error("bad"), b'event: error\nid: 1\ndata: {"type":"error","errorText":"bad"}\n\n'),
]


@pytest.mark.parametrize(("chunk", "frame"), CASES, ids=[chunk["type"] for chunk, _ in CASES])
def test_a_chunk_is_one_frame(chunk: Chunk, frame: bytes) -> None:
    assert chunks.frame(chunk, 1) == frame
    assert (chunks.number_of(frame), chunks.chunk_of(frame)) == (1, chunk)


def test_a_ping_has_no_number_because_it_is_no_part_of_the_answer() -> None:
    assert chunks.PING == b'event: ping\ndata: {"type":"data-ping","data":{},"transient":true}\n\n'
