-- The privileges that the server's role needs at run time. It owns nothing.
--
-- Two roles: the owner runs `souk migrate` and owns the chat's tables and functions; the server connects as `souk_server`
-- with AUTO_MIGRATE=false, and cannot change the schema. Run this file as the owner, in the database and with the schema of the
-- chat as the search_path, after the first `souk migrate` and after every later one: a new version may need new privileges.
--
--   CREATE ROLE souk_server LOGIN PASSWORD '…';
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f docs/roles.sql
--
-- tests/it/roles.rs applies this file and runs the server as that role.

-- If PUBLIC may not connect: GRANT CONNECT ON DATABASE … TO souk_server;
GRANT USAGE ON SCHEMA public TO souk_server;

-- The shop's tables. The server reads these columns of users, never the password, and changes no row.
GRANT SELECT (id, email, role, display_name, status, created_at) ON users TO souk_server;
-- A notification is inserted, and its text taken out when its message is deleted for everyone.
GRANT SELECT, INSERT, UPDATE ON notifications TO souk_server;

-- Conversations and messages. No row is ever deleted.
GRANT SELECT, INSERT, UPDATE ON conversations, messages TO souk_server;
-- Rows come and go with conversations.participant_ids, by a trigger that runs as the owner.
GRANT SELECT, UPDATE ON conversation_members TO souk_server;
GRANT SELECT, INSERT ON message_deletions, message_edits TO souk_server;
GRANT SELECT, INSERT, DELETE ON message_reactions, user_blocks TO souk_server;
GRANT SELECT ON message_reaction_counts TO souk_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON message_notifications TO souk_server;

-- Presence and typing.
GRANT SELECT, INSERT, UPDATE, DELETE ON chat_servers, chat_server_users, chat_returning_sockets TO souk_server;
GRANT SELECT, INSERT, UPDATE ON user_online_status, typing_indicators TO souk_server;

-- The book of uploaded files, and what each user has uploaded and stored.
GRANT SELECT, INSERT, UPDATE, DELETE ON chat_files, chat_upload_bytes TO souk_server;
GRANT SELECT, INSERT, UPDATE ON chat_stored_bytes TO souk_server;

-- Which migrations the database has: AUTO_MIGRATE=false compares them with the server's own.
GRANT SELECT ON _sqlx_migrations TO souk_server;

-- The server's functions. Everyone may call new functions unless the database's defaults say otherwise.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p
             WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
               AND p.proname LIKE 'souk\_%' AND p.proname <> 'souk_close_new_tables'
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO souk_server', f);
    END LOOP;
END $$;
