"""Bytes that a child's launcher reads from a descriptor, where no process list and no file shows them."""

import os

import attrs


@attrs.define
class Descriptors:
    """`put` gives numbers for the child to inherit; `close` is for after its start."""

    numbers: list[int] = attrs.field(factory=list)

    def put(self, data: bytes) -> int:
        number = os.memfd_create("archestra-sandbox", 0)
        self.numbers.append(number)
        with open(number, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(number, 0, os.SEEK_SET)
        os.set_inheritable(number, True)
        return number

    def adopt(self, number: int) -> int:
        """One that was made elsewhere."""
        os.set_inheritable(number, True)
        self.numbers.append(number)
        return number

    def close(self) -> None:
        while self.numbers:
            os.close(self.numbers.pop())
