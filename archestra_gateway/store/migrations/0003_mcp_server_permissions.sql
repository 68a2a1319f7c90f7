ALTER TABLE mcp_server ADD COLUMN permissions TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(permissions));

-- The built-in server's folders were its arguments alone until now.
UPDATE mcp_server
SET permissions = json_object(
    'read_only', json_array(json_extract(server_config, '$.args[1]')),
    'read_write', json_array(json_extract(server_config, '$.args[3]'))
)
WHERE name = 'filesystem-server' AND json_extract(server_config, '$.args[0]') = '--read-only'
    AND json_extract(server_config, '$.args[2]') = '--read-write';
