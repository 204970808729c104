-- Closes what the database's default grants opened, and fixes where functions look for tables.
--
-- Hosted Postgres often gives every role access to each new table (`ALTER DEFAULT PRIVILEGES … TO PUBLIC`, or to the roles
-- `anon` and `authenticated`) and expects row level security to keep strangers out. Our own tables have none.
--
-- Locks: no table; rows of pg_class and pg_proc change.

-- Called by the server at the end of every migration (`Db::migrate`), with the relations that were there before it began.
--
-- 1. Tables made since then are for their owner alone. What was there before is left as it is: its grants are the shop's.
--    So are views that were made anew over the shop's tables.
-- 2. Functions of ours look for tables in this schema, whatever the caller's search_path says. Not souk_minute and
--    souk_participants: they name nothing but what is built in, and a function with settings of its own is never inlined,
--    which statements that call those two for each row need.
CREATE FUNCTION souk_close_new_tables(p_known oid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    here     oid := quote_ident(current_schema())::regnamespace;
    is_fresh boolean := 'conversations'::regclass::oid <> ALL (p_known);
    strangers text;
    r        record;
BEGIN
    SELECT string_agg(name, ', ') INTO strangers FROM (
        SELECT 'PUBLIC' AS name
        UNION ALL SELECT quote_ident(rolname) FROM pg_roles WHERE rolname IN ('anon', 'authenticated')) s;
    FOR r IN SELECT c.oid::regclass AS name FROM pg_class c
             WHERE c.relnamespace = here AND c.oid <> ALL (p_known) AND c.relowner = quote_ident(current_user)::regrole
               AND (c.relkind IN ('r', 'p') OR is_fresh AND c.relkind IN ('v', 'S'))
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', r.name, strangers);
    END LOOP;
    FOR r IN SELECT p.oid::regprocedure AS name FROM pg_proc p
             WHERE p.pronamespace = here AND p.prokind = 'f'
               AND (p.proname LIKE 'souk\_%' AND p.proname NOT IN ('souk_minute', 'souk_participants')
                    OR p.proname IN ('is_conversation_participant', 'mark_messages_as_read', 'get_unread_message_count',
                                     'edit_message', 'delete_message', 'add_message_reaction', 'remove_message_reaction',
                                     'get_message_edit_history', 'get_message_details'))
               AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) AS s (setting) WHERE s.setting LIKE 'search\_path=%')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', r.name, current_schema());
    END LOOP;
    -- Who may write to the shop's tables may do so still: what their triggers do to ours, they do as the owner. And who
    -- takes part is asked by the shop's policies, in the name of whoever they are about.
    FOR r IN SELECT p.oid::regprocedure AS name FROM pg_proc p
             WHERE p.pronamespace = here AND NOT p.prosecdef
               AND p.proname IN ('souk_sync_members', 'souk_number_message', 'souk_conversation_activity',
                                 'is_conversation_participant')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', r.name);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION souk_close_new_tables(oid[]) FROM PUBLIC;

-- The chat's own tables are the server's alone, whichever transaction made them.
DO $$
DECLARE
    stranger text;
BEGIN
    FOR stranger IN SELECT 'PUBLIC' UNION ALL SELECT quote_ident(rolname) FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON conversation_members, message_deletions, user_blocks, chat_servers, chat_server_users,
                        message_notifications, chat_stored_bytes, chat_files, chat_upload_bytes, chat_returning_sockets FROM %s', stranger);
        IF to_regclass('_sqlx_migrations') IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON _sqlx_migrations FROM %s', stranger);
        END IF;
    END LOOP;
END $$;

-- Whoever may write to the shop's tables sets off these triggers, whether or not they may write to ours: they run as the owner.
DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY ARRAY ['souk_note_reaction', 'souk_note_deletion', 'souk_note_deleted_files', 'souk_keep_preview'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SECURITY DEFINER', f);
    END LOOP;
    -- And the search_path of all of them; no relation is new here.
    PERFORM souk_close_new_tables(ARRAY (SELECT oid FROM pg_class));
END $$;
