-- The schema of the chat database. Written by scripts/schema: change a migration, not this file.
-- PostgreSQL 15; other versions print some of it in other words.
-- The server also makes three indexes on the shop's users, unless USER_INDEXES=false: src/db/schema/user_indexes.rs has them.

-- TYPE notification_channel

CREATE TYPE public.notification_channel AS ENUM (
    'in_app',
    'email',
    'sms',
    'push'
);

-- TYPE notification_priority

CREATE TYPE public.notification_priority AS ENUM (
    'low',
    'medium',
    'high',
    'urgent'
);

-- TYPE notification_type

CREATE TYPE public.notification_type AS ENUM (
    'new_message'
);

-- FUNCTION add_message_reaction(uuid, uuid, text)

CREATE FUNCTION public.add_message_reaction(p_message_id uuid, p_user_id uuid, p_reaction text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    done record;
BEGIN
    IF COALESCE(btrim(p_reaction), '') = '' THEN
        RAISE EXCEPTION 'Reaction is required' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO done FROM souk_add_reaction(p_message_id, p_user_id, p_reaction);
    PERFORM souk_raise_refusal(done.outcome, NULL);
    RETURN done.reactions;
END $$;

-- FUNCTION delete_message(uuid, uuid, text)

CREATE FUNCTION public.delete_message(p_message_id uuid, p_user_id uuid, p_deletion_type text DEFAULT 'for_me'::text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    o text;
BEGIN
    SELECT outcome INTO o FROM souk_delete_message(p_message_id, p_user_id, p_deletion_type);
    PERFORM souk_raise_refusal(o, 'Only message sender can delete for everyone');
    RETURN o = 'deleted';
END $$;

-- FUNCTION souk_reactions(uuid)

CREATE FUNCTION public.souk_reactions(p_message_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_object('reaction', r.reaction, 'count', r.count, 'user_ids', r.user_ids)
                              ORDER BY r.reaction), '[]')
    FROM (SELECT * FROM message_reaction_counts WHERE message_id = p_message_id ORDER BY reaction LIMIT 100) r
$$;

-- TABLE conversation_members

CREATE TABLE public.conversation_members (
    conversation_id uuid NOT NULL,
    user_id uuid NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL,
    last_read_seq bigint DEFAULT 0 NOT NULL,
    last_read_at timestamp with time zone,
    last_delivered_seq bigint DEFAULT 0 NOT NULL,
    last_delivered_at timestamp with time zone,
    skipped bigint DEFAULT 0 NOT NULL,
    active_minute integer DEFAULT 0 NOT NULL,
    maybe_unread boolean DEFAULT false NOT NULL
)
WITH (fillfactor='80');

-- TABLE messages

CREATE TABLE public.messages (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    conversation_id uuid NOT NULL,
    sender_id uuid NOT NULL,
    message_text text NOT NULL,
    message_type character varying(20) DEFAULT 'text'::character varying NOT NULL,
    attachments jsonb DEFAULT '[]'::jsonb NOT NULL,
    read_by jsonb DEFAULT '[]'::jsonb NOT NULL,
    delivered_to jsonb DEFAULT '[]'::jsonb NOT NULL,
    is_edited boolean DEFAULT false NOT NULL,
    is_deleted boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    edited_at timestamp with time zone,
    deleted_at timestamp with time zone,
    status character varying(20) DEFAULT 'sent'::character varying NOT NULL,
    delivered_at timestamp with time zone,
    read_at timestamp with time zone,
    reply_to_message_id uuid,
    deletion_type character varying(20),
    deleted_by uuid,
    edit_count integer DEFAULT 0 NOT NULL,
    last_edited_at timestamp with time zone,
    seq bigint NOT NULL,
    client_message_id character varying(128),
    temp_id character varying(128),
    changed_at timestamp with time zone,
    version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT messages_deletion_type_check CHECK (((deletion_type)::text = ANY ((ARRAY['for_me'::character varying, 'for_everyone'::character varying])::text[]))),
    CONSTRAINT messages_message_type_check CHECK (((message_type)::text = ANY ((ARRAY['text'::character varying, 'image'::character varying, 'file'::character varying, 'system'::character varying])::text[]))),
    CONSTRAINT messages_status_check CHECK (((status)::text = ANY ((ARRAY['sending'::character varying, 'sent'::character varying, 'delivered'::character varying, 'read'::character varying, 'failed'::character varying])::text[])))
);

-- VIEW messages_with_reactions

CREATE VIEW public.messages_with_reactions AS
 SELECT m.id,
    m.conversation_id,
    m.sender_id,
        CASE
            WHEN m.is_deleted THEN ''::text
            ELSE m.message_text
        END AS message_text,
    m.message_type,
        CASE
            WHEN m.is_deleted THEN '[]'::jsonb
            ELSE m.attachments
        END AS attachments,
    r.read_by,
    d.delivered_to,
    m.is_edited,
    m.is_deleted,
    m.created_at,
    m.updated_at,
    m.edited_at,
    m.deleted_at,
    (
        CASE
            WHEN (((m.status)::text = 'read'::text) OR (jsonb_array_length(r.read_by) > 1)) THEN 'read'::text
            WHEN (((m.status)::text = 'delivered'::text) OR (jsonb_array_length(d.delivered_to) > 0)) THEN 'delivered'::text
            ELSE 'sent'::text
        END)::character varying(20) AS status,
        CASE
            WHEN (COALESCE(m.delivered_at, d.at, m.read_at, r.at) IS NOT NULL) THEN GREATEST(COALESCE(LEAST(m.delivered_at, d.at), LEAST(m.read_at, r.at)), m.created_at)
            ELSE NULL::timestamp with time zone
        END AS delivered_at,
        CASE
            WHEN (COALESCE(m.read_at, r.at) IS NOT NULL) THEN GREATEST(LEAST(m.read_at, r.at), m.created_at)
            ELSE NULL::timestamp with time zone
        END AS read_at,
    m.reply_to_message_id,
    m.deletion_type,
    m.deleted_by,
    m.edit_count,
    m.last_edited_at,
    m.seq,
    m.client_message_id,
    public.souk_reactions(m.id) AS reactions
   FROM ((public.messages m
     CROSS JOIN LATERAL ( SELECT jsonb_agg(y.id ORDER BY y.place, y.id) AS read_by,
            min(y.at) AS at
           FROM ( SELECT x.id,
                    min(x.place) AS place,
                    min(x.at) AS at
                   FROM ( SELECT (m.sender_id)::text AS id,
                            0 AS place,
                            NULL::timestamp with time zone AS at
                        UNION ALL
                         SELECT s.id,
                            s.place,
                            NULL::timestamp with time zone
                           FROM jsonb_array_elements_text(m.read_by) WITH ORDINALITY s(id, place)
                          WHERE (s.id ~ '^[0-9a-f-]{36}$'::text)
                        UNION ALL
                         SELECT (w.user_id)::text AS user_id,
                            1000000,
                            w.last_read_at
                           FROM public.conversation_members w
                          WHERE ((w.conversation_id = m.conversation_id) AND (w.last_read_seq >= m.seq) AND (w.user_id <> m.sender_id))) x
                  GROUP BY x.id) y) r)
     CROSS JOIN LATERAL ( SELECT COALESCE(jsonb_agg(y.id ORDER BY y.place, y.id), '[]'::jsonb) AS delivered_to,
            min(y.at) AS at
           FROM ( SELECT x.id,
                    min(x.place) AS place,
                    min(x.at) AS at
                   FROM ( SELECT s.id,
                            s.place,
                            NULL::timestamp with time zone AS at
                           FROM jsonb_array_elements_text(m.delivered_to) WITH ORDINALITY s(id, place)
                          WHERE (s.id ~ '^[0-9a-f-]{36}$'::text)
                        UNION ALL
                         SELECT (w.user_id)::text AS user_id,
                            1000000,
                            COALESCE(w.last_delivered_at, w.last_read_at) AS "coalesce"
                           FROM public.conversation_members w
                          WHERE ((w.conversation_id = m.conversation_id) AND (w.user_id <> m.sender_id) AND (GREATEST(w.last_delivered_seq, w.last_read_seq) >= m.seq))
                        UNION ALL
                         SELECT s.id,
                            2000000,
                            NULL::timestamp with time zone
                           FROM jsonb_array_elements_text(r.read_by) s(id)
                          WHERE (s.id <> (m.sender_id)::text)) x
                  GROUP BY x.id) y) d);

-- FUNCTION edit_message(uuid, uuid, text)

CREATE FUNCTION public.edit_message(p_message_id uuid, p_user_id uuid, p_new_text text) RETURNS public.messages_with_reactions
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    edited messages_with_reactions;
BEGIN
    IF COALESCE(btrim(p_new_text), '') = '' THEN
        RAISE EXCEPTION 'Message content is required' USING ERRCODE = '22023';
    END IF;
    PERFORM souk_raise_refusal(e.outcome, 'Only message sender can edit the message')
    FROM souk_edit_message(p_message_id, p_user_id, p_new_text) e;
    SELECT * INTO edited FROM messages_with_reactions m WHERE m.id = p_message_id;
    RETURN edited;
END $$;

-- FUNCTION get_message_details(uuid)

CREATE FUNCTION public.get_message_details(p_message_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT to_jsonb(m) || jsonb_build_object(
        'reply_to', (SELECT to_jsonb(q) FROM messages_with_reactions q WHERE q.id = m.reply_to_message_id AND q.conversation_id = m.conversation_id),
        'edit_history', COALESCE((SELECT jsonb_agg(to_jsonb(h) ORDER BY h.edited_at DESC, h.id DESC)
                                  FROM (SELECT * FROM get_message_edit_history(m.id) LIMIT 20) h), '[]'),
        'edit_history_count', (SELECT count(*) FROM message_edits e WHERE e.message_id = m.id))
    FROM messages_with_reactions m WHERE m.id = p_message_id
$$;

-- FUNCTION get_message_edit_history(uuid)

CREATE FUNCTION public.get_message_edit_history(p_message_id uuid) RETURNS TABLE(id uuid, message_id uuid, old_text text, edited_by uuid, edited_at timestamp with time zone)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT e.id, e.message_id, CASE WHEN m.is_deleted THEN '' ELSE e.old_text END, e.edited_by, e.edited_at
    FROM message_edits e JOIN messages m ON m.id = e.message_id
    WHERE e.message_id = p_message_id ORDER BY e.edited_at DESC, e.id DESC
$$;

-- FUNCTION get_unread_message_count(uuid)

CREATE FUNCTION public.get_unread_message_count(user_id uuid) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
    SELECT COALESCE(sum(u.unread_count), 0)::integer FROM unread_message_counts u WHERE u.user_id = $1
$_$;

-- FUNCTION is_conversation_participant(uuid, uuid)

CREATE FUNCTION public.is_conversation_participant(p_conversation_id uuid, p_user_id uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT EXISTS (SELECT 1 FROM conversation_members cm
                   WHERE cm.conversation_id = p_conversation_id AND cm.user_id = p_user_id)
$$;

-- FUNCTION mark_messages_as_read(uuid, uuid)

CREATE FUNCTION public.mark_messages_as_read(p_conversation_id uuid, p_user_id uuid) RETURNS integer
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT COALESCE((SELECT marked FROM souk_mark_read(p_conversation_id, p_user_id)), 0)::integer
$$;

-- FUNCTION remove_message_reaction(uuid, uuid, text)

CREATE FUNCTION public.remove_message_reaction(p_message_id uuid, p_user_id uuid, p_reaction text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    done record;
BEGIN
    SELECT * INTO done FROM souk_remove_reaction(p_message_id, p_user_id, p_reaction);
    PERFORM souk_raise_refusal(done.outcome, NULL);
    RETURN done.reactions;
END $$;

-- FUNCTION souk_add_reaction(uuid, uuid, text)

CREATE FUNCTION public.souk_add_reaction(p_message_id uuid, p_user_id uuid, p_reaction text) RETURNS TABLE(outcome text, conversation_id uuid, members uuid[], reactions jsonb)
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    l         record;
    form      text;
    different bigint;
    own       bigint;
    has_it    boolean;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    WHEN souk_is_blocked(l.members) THEN 'blocked'
                    ELSE 'added' END;
    IF outcome = 'added' THEN
        SELECT (array_agg(r.reaction ORDER BY r.created_at, r.id) FILTER (WHERE r.key = k.key))[1],
               count(DISTINCT r.key),
               count(DISTINCT r.key) FILTER (WHERE r.user_id = p_user_id),
               COALESCE(bool_or(r.user_id = p_user_id AND r.key = k.key), false)
        INTO form, different, own, has_it
        FROM (SELECT replace(p_reaction, chr(65039), '') AS key) k
        CROSS JOIN (SELECT x.*, replace(x.reaction, chr(65039), '') AS key
                    FROM message_reactions x WHERE x.message_id = p_message_id) r;
        IF has_it THEN
            outcome := 'unchanged';
        ELSIF own >= 5 OR form IS NULL AND different >= 20 THEN
            outcome := 'too_many';
        ELSE
            INSERT INTO message_reactions (id, message_id, user_id, reaction, created_at)
            VALUES (gen_random_uuid(), p_message_id, p_user_id, COALESCE(form, p_reaction), clock_timestamp());
        END IF;
        reactions := souk_reactions(p_message_id);
    END IF;
    RETURN NEXT;
END $$;

-- FUNCTION souk_close_new_tables(oid[])

CREATE FUNCTION public.souk_close_new_tables(p_known oid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

-- FUNCTION souk_conflict()

CREATE FUNCTION public.souk_conflict() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION 'changed while this statement waited' USING ERRCODE = 'serialization_failure';
END $$;

-- FUNCTION souk_conversation_activity()

CREATE FUNCTION public.souk_conversation_activity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    minute integer := souk_minute(COALESCE(NEW.last_message_at, NEW.created_at));
BEGIN
    IF EXISTS (SELECT 1 FROM conversation_members WHERE conversation_id = NEW.id AND active_minute <> minute) THEN
        PERFORM souk_lock_members(NEW.id);
        UPDATE conversation_members SET active_minute = minute WHERE conversation_id = NEW.id AND active_minute <> minute;
    END IF;
    RETURN NULL;
END $$;

-- FUNCTION souk_delete_message(uuid, uuid, text)

CREATE FUNCTION public.souk_delete_message(p_message_id uuid, p_user_id uuid, p_deletion_type text) RETURNS TABLE(outcome text, conversation_id uuid, members uuid[])
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    l        record;
    at       timestamptz;
    everyone boolean := COALESCE(p_deletion_type, 'for_me') = 'for_everyone';
BEGIN
    IF p_deletion_type NOT IN ('for_me', 'for_everyone') THEN
        RAISE EXCEPTION 'Invalid deletion type' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    at := clock_timestamp();
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN everyone AND l.sender_id <> p_user_id THEN 'not_sender'
                    WHEN everyone AND l.is_deleted OR NOT everyone AND l.hidden THEN 'unchanged'
                    ELSE 'deleted' END;
    IF outcome <> 'deleted' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF NOT l.is_deleted THEN
        WITH locked AS (
            SELECT cm.user_id FROM conversation_members cm
            WHERE cm.conversation_id = l.conversation_id AND (everyone OR cm.user_id = p_user_id)
            ORDER BY cm.user_id FOR NO KEY UPDATE
        )
        UPDATE conversation_members cm SET skipped = cm.skipped + 1
        FROM locked k, messages m
        WHERE cm.conversation_id = l.conversation_id AND cm.user_id = k.user_id AND m.id = p_message_id
          AND cm.last_read_seq < l.seq AND cm.user_id <> l.sender_id AND NOT m.read_by ? cm.user_id::text
          AND NOT EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = p_message_id AND d.user_id = cm.user_id);
    END IF;
    IF everyone THEN
        UPDATE messages m
        SET is_deleted = true, deletion_type = 'for_everyone', deleted_by = p_user_id, deleted_at = at, updated_at = at
        WHERE m.id = p_message_id;
    ELSE
        INSERT INTO message_deletions (message_id, user_id, deleted_at) VALUES (p_message_id, p_user_id, at);
    END IF;
    RETURN NEXT;
END $$;

-- FUNCTION souk_edit_message(uuid, uuid, text, integer)

CREATE FUNCTION public.souk_edit_message(p_message_id uuid, p_user_id uuid, p_new_text text, p_max_edits integer DEFAULT NULL::integer) RETURNS TABLE(outcome text, conversation_id uuid, members uuid[])
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    l     record;
    at    timestamptz;
    old   text;
    edits integer;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    at := clock_timestamp();
    SELECT m.message_text, m.edit_count INTO old, edits FROM messages m WHERE m.id = p_message_id;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    WHEN l.sender_id <> p_user_id THEN 'not_sender'
                    WHEN souk_is_blocked(l.members) THEN 'blocked'
                    WHEN old = p_new_text THEN 'unchanged'
                    WHEN edits >= p_max_edits THEN 'too_many_edits'
                    ELSE 'edited' END;
    IF outcome = 'edited' THEN
        INSERT INTO message_edits (id, message_id, old_text, edited_by, edited_at)
        VALUES (gen_random_uuid(), p_message_id, old, p_user_id, at);
        UPDATE messages m
        SET message_text = p_new_text, is_edited = true, edit_count = m.edit_count + 1,
            edited_at = at, last_edited_at = at, updated_at = at
        WHERE m.id = p_message_id;
        UPDATE conversations c SET last_message_text = p_new_text WHERE c.id = l.conversation_id AND l.seq = l.last_seq;
    END IF;
    RETURN NEXT;
END $$;

-- FUNCTION souk_file_paths(jsonb)

CREATE FUNCTION public.souk_file_paths(p_attachments jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
    SELECT COALESCE(array_agg(DISTINCT f.path ORDER BY f.path), '{}')
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p_attachments) = 'array' THEN p_attachments ELSE '[]' END) AS a (file)
    CROSS JOIN LATERAL (VALUES (a.file ->> 'path'), (substring(a.file ->> 'url' FROM '/api/chat/files/([^?#]+)'))) AS f (path)
    WHERE f.path ~ '^chat/[0-9a-f-]{36}/[0-9a-f-]{36}/[A-Za-z0-9_-]{1,60}[.][a-z]{1,5}$'
$_$;

-- FUNCTION souk_find_users(uuid, text[], text, integer, integer)

CREATE FUNCTION public.souk_find_users(p_caller uuid, p_roles text[], p_text text, p_each integer, p_budget_ms integer) RETURNS TABLE(id uuid, email text, role text, display_name text, status text, created_at text, complete boolean)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_sort TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_indexscan TO 'on'
    SET enable_indexonlyscan TO 'off'
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    small_table   CONSTANT bigint := 16 << 20;
    short_walk    CONSTANT integer := 300;
    least_by_text CONSTANT integer := 1024;
    most_by_text  CONSTANT integer := 1000;
    text_wanted   text := lower(p_text);
    is_small      boolean := pg_relation_size('users') < small_table;
    has_trigrams  boolean := p_text ~ '[[:alnum:]]{3}' AND souk_index_is_ready('souk_users_by_text');
    started       timestamptz := clock_timestamp();
    budget        interval := make_interval(secs => p_budget_ms / 1000.0);
    is_complete   boolean := true;
    found         uuid[] := '{}';
    by_text       integer := 0;
    of_role       integer;
    seen          integer;
    place         integer := 0;
    wanted        text;
    u             record;
BEGIN
    IF souk_index_is_ready('souk_users_by_name') THEN
        FOREACH wanted IN ARRAY p_roles LOOP
            place := place + 1;
            seen := 0;
            of_role := 0;
            FOR u IN SELECT x.id, x.email, x.role, x.display_name, x.status, x.created_at FROM users x
                     WHERE x.role = wanted AND x.status = 'active'
                     ORDER BY lower(COALESCE(x.display_name, x.email)) COLLATE "C", x.id
            LOOP
                seen := seen + 1;
                IF u.id <> p_caller AND (text_wanted = '' OR strpos(lower(u.email), text_wanted) > 0
                                         OR strpos(lower(u.display_name), text_wanted) > 0) THEN
                    found := found || u.id;
                    of_role := of_role + 1;
                    RETURN QUERY SELECT u.id, u.email::text, u.role::text, u.display_name::text, u.status::text,
                                        to_char(u.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), NULL::boolean;
                    EXIT WHEN of_role >= p_each;
                END IF;
                IF has_trigrams AND seen >= short_walk
                   OR NOT is_small AND seen % 512 = 0 AND clock_timestamp() - started > budget * place / cardinality(p_roles) THEN
                    is_complete := false;
                    EXIT;
                END IF;
            END LOOP;
        END LOOP;
    ELSE
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
        seen := 0;
        FOR u IN SELECT x.id, x.email, x.role, x.display_name, x.status, x.created_at FROM users x LOOP
            seen := seen + 1;
            IF u.role = ANY (p_roles) AND u.status = 'active' AND u.id <> p_caller
               AND (text_wanted = '' OR strpos(lower(u.email), text_wanted) > 0 OR strpos(lower(u.display_name), text_wanted) > 0) THEN
                found := found || u.id;
                RETURN QUERY SELECT u.id, u.email::text, u.role::text, u.display_name::text, u.status::text,
                                    to_char(u.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), NULL::boolean;
            END IF;
            IF NOT is_small AND seen % 512 = 0
               AND (clock_timestamp() - started > budget OR cardinality(found) >= most_by_text) OR has_trigrams AND seen >= short_walk THEN
                is_complete := false;
                EXIT;
            END IF;
        END LOOP;
        PERFORM set_config('enable_seqscan', 'off', true);
    END IF;
    -- As many as are asked for: who stands further back does not matter.
    is_complete := is_complete OR cardinality(found) >= p_each;
    IF NOT is_complete AND has_trigrams THEN
        is_complete := true;
        started := clock_timestamp();
        seen := 0;
        PERFORM set_config('enable_bitmapscan', 'on', true), set_config('enable_indexscan', 'off', true);
        FOR u IN SELECT x.id, x.email, x.role, x.display_name, x.status, x.created_at FROM users x
                 WHERE lower(x.email) || E'\n' || lower(COALESCE(x.display_name, ''))
                       LIKE '%' || replace(replace(replace(text_wanted, '\', '\\'), '%', '\%'), '_', '\_') || '%'
        LOOP
            seen := seen + 1;
            IF u.role = ANY (p_roles) AND u.status = 'active' AND u.id <> p_caller AND NOT u.id = ANY (found)
               AND (strpos(lower(u.email), text_wanted) > 0 OR strpos(lower(u.display_name), text_wanted) > 0) THEN
                by_text := by_text + 1;
                RETURN QUERY SELECT u.id, u.email::text, u.role::text, u.display_name::text, u.status::text,
                                    to_char(u.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), NULL::boolean;
            END IF;
            EXIT WHEN by_text >= most_by_text;
            -- Where most users have the text, finding that out alone may take the time.
            IF seen >= least_by_text AND seen % 64 = 0 AND clock_timestamp() - started > budget THEN
                is_complete := cardinality(found) + by_text >= p_each;
                EXIT;
            END IF;
        END LOOP;
    END IF;
    complete := is_complete;
    RETURN NEXT;
END $$;

-- FUNCTION souk_index_is_ready(text)

CREATE FUNCTION public.souk_index_is_ready(p_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT COALESCE((SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(p_name)), false)
$$;

-- FUNCTION souk_is_blocked(uuid[])

CREATE FUNCTION public.souk_is_blocked(p_members uuid[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT cardinality(p_members) = 2 AND EXISTS (
        SELECT 1 FROM user_blocks b WHERE b.blocker_id = ANY (p_members) AND b.blocked_id = ANY (p_members))
$$;

-- FUNCTION souk_is_file_named(text)

CREATE FUNCTION public.souk_is_file_named(p_path text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM messages m
                   WHERE m.attachments <> '[]' AND NOT m.is_deleted AND souk_file_paths(m.attachments) && ARRAY[p_path]);
END $$;

-- FUNCTION souk_keep_preview()

CREATE FUNCTION public.souk_keep_preview() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    c     record;
    shown bigint;
    found_before record;
BEGIN
    SELECT last_seq, deleted_after, deleted_to INTO c FROM conversations
    WHERE id = NEW.conversation_id FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    shown := CASE WHEN c.last_seq > c.deleted_to THEN c.last_seq ELSE c.deleted_after END;
    IF NOT NEW.is_deleted AND NEW.seq > c.deleted_after AND NEW.seq <= c.deleted_to THEN
        -- By SQL it is there again: the run ends above it.
        UPDATE conversations SET deleted_after = NEW.seq WHERE id = NEW.conversation_id;
        shown := CASE WHEN c.last_seq > c.deleted_to THEN shown ELSE NEW.seq END;
    END IF;
    IF NEW.seq <> shown THEN
        RETURN NULL;
    END IF;
    IF NOT NEW.is_deleted THEN
        UPDATE conversations SET last_message_text = souk_preview(NEW.message_text, NEW.attachments) WHERE id = NEW.conversation_id;
        RETURN NULL;
    END IF;
    found_before := souk_message_before(NEW.conversation_id, NEW.seq, c.deleted_after, c.deleted_to);
    UPDATE conversations
    SET last_message_text = found_before.preview, deleted_after = found_before.seq,
        -- Where the newest is in the run, what is deleted now is the message before that run.
        deleted_to = GREATEST(NEW.seq, CASE WHEN c.last_seq <= c.deleted_to THEN c.deleted_to ELSE 0 END)
    WHERE id = NEW.conversation_id;
    RETURN NULL;
END $$;

-- FUNCTION souk_lock_members(uuid)

CREATE FUNCTION public.souk_lock_members(p_conversation_id uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM 1 FROM conversation_members WHERE conversation_id = p_conversation_id ORDER BY user_id FOR UPDATE;
END $$;

-- FUNCTION souk_lock_message(uuid, uuid)

CREATE FUNCTION public.souk_lock_message(p_message_id uuid, p_user_id uuid, OUT conversation_id uuid, OUT last_seq bigint, OUT seq bigint, OUT sender_id uuid, OUT is_deleted boolean, OUT hidden boolean, OUT members uuid[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    SELECT c.id, c.last_seq INTO conversation_id, last_seq
    FROM conversations c JOIN messages m ON m.conversation_id = c.id
    WHERE m.id = p_message_id FOR NO KEY UPDATE OF c;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT m.seq, m.sender_id, m.is_deleted INTO seq, sender_id, is_deleted
    FROM messages m WHERE m.id = p_message_id FOR NO KEY UPDATE;
    hidden := EXISTS (SELECT 1 FROM message_deletions d WHERE d.message_id = p_message_id AND d.user_id = p_user_id);
    members := ARRAY(SELECT cm.user_id FROM conversation_members cm
                     WHERE cm.conversation_id = souk_lock_message.conversation_id ORDER BY cm.user_id);
END $$;

-- FUNCTION souk_mark_read(uuid, uuid)

CREATE FUNCTION public.souk_mark_read(p_conversation_id uuid, p_user_id uuid) RETURNS TABLE(marked bigint, read_seq bigint, read_at timestamp with time zone)
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH c AS (
        SELECT id, last_seq FROM conversations WHERE id = p_conversation_id FOR NO KEY UPDATE
    ), old AS (
        SELECT m.conversation_id, m.user_id, c.last_seq, c.last_seq - m.last_read_seq - m.skipped AS unread
        FROM c JOIN conversation_members m ON m.conversation_id = c.id AND m.user_id = p_user_id
        WHERE m.last_read_seq < c.last_seq
        FOR UPDATE OF m
    )
    UPDATE conversation_members m
    SET last_read_seq = old.last_seq, skipped = 0, maybe_unread = false,
        last_read_at = CASE WHEN old.unread > 0 THEN now() ELSE m.last_read_at END
    FROM old WHERE m.conversation_id = old.conversation_id AND m.user_id = old.user_id
    RETURNING old.unread, m.last_read_seq, COALESCE(m.last_read_at, now())
$$;

-- FUNCTION souk_member_activity()

CREATE FUNCTION public.souk_member_activity() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    SELECT souk_minute(COALESCE(c.last_message_at, c.created_at)), c.last_seq > 0
    INTO NEW.active_minute, NEW.maybe_unread
    FROM conversations c WHERE c.id = NEW.conversation_id;
    NEW.active_minute := COALESCE(NEW.active_minute, 0);
    NEW.maybe_unread := COALESCE(NEW.maybe_unread, false);
    RETURN NEW;
END $$;

-- FUNCTION souk_member_unread()

CREATE FUNCTION public.souk_member_unread() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.maybe_unread := true;
    RETURN NEW;
END $$;

-- FUNCTION souk_members_now(uuid[])

CREATE FUNCTION public.souk_members_now(p_conversations uuid[]) RETURNS TABLE(conversation_id uuid, user_id uuid, active_minute integer, maybe_unread boolean)
    LANGUAGE plpgsql ROWS 100
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT m.conversation_id, m.user_id, m.active_minute, m.maybe_unread
                 FROM conversation_members m WHERE m.conversation_id = ANY (p_conversations);
END $$;

-- FUNCTION souk_message_before(uuid, bigint, bigint, bigint)

CREATE FUNCTION public.souk_message_before(p_conversation_id uuid, p_seq bigint, p_deleted_after bigint, p_deleted_to bigint, OUT seq bigint, OUT preview text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    SELECT m.seq, souk_preview(m.message_text, m.attachments) INTO seq, preview
    FROM (SELECT x.seq, x.message_text, x.attachments, x.is_deleted FROM messages x
          WHERE x.conversation_id = p_conversation_id AND x.seq < p_seq AND x.seq > p_deleted_to
          ORDER BY x.seq DESC LIMIT 10000) m
    WHERE NOT m.is_deleted LIMIT 1;
    IF NOT FOUND THEN
        SELECT m.seq, souk_preview(m.message_text, m.attachments) INTO seq, preview
        FROM (SELECT x.seq, x.message_text, x.attachments, x.is_deleted FROM messages x
              WHERE x.conversation_id = p_conversation_id AND x.seq < p_seq AND x.seq <= p_deleted_after
              ORDER BY x.seq DESC LIMIT 10000) m
        WHERE NOT m.is_deleted LIMIT 1;
    END IF;
    seq := COALESCE(seq, 0);
    preview := COALESCE(preview, '');
END $$;

-- FUNCTION souk_minute(timestamp with time zone)

CREATE FUNCTION public.souk_minute(p_at timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT LEAST(GREATEST(floor(date_part('epoch', p_at AT TIME ZONE 'UTC') / 60), -2147483648), 2147483647)::integer
$$;

-- FUNCTION souk_note_change()

CREATE FUNCTION public.souk_note_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;

-- FUNCTION souk_note_deleted_files()

CREATE FUNCTION public.souk_note_deleted_files() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    file text;
BEGIN
    FOREACH file IN ARRAY souk_file_paths(NEW.attachments) LOOP
        IF split_part(file, '/', 2) = NEW.sender_id::text THEN
            -- Of two messages that name one file and are deleted at once, the second sees that the first is gone.
            PERFORM pg_advisory_xact_lock(hashtextextended('souk file ' || file, 0));
            IF NOT EXISTS (SELECT 1 FROM messages m
                           WHERE m.attachments <> '[]' AND souk_file_paths(m.attachments) && ARRAY[file]
                             AND m.sender_id = NEW.sender_id AND NOT m.is_deleted) THEN
                INSERT INTO chat_files (path, owner_id, size, state) VALUES (file, NEW.sender_id, 0, 'deleted')
                ON CONFLICT (path) DO UPDATE SET state = 'deleted', since = now();
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- FUNCTION souk_note_deletion()

CREATE FUNCTION public.souk_note_deletion() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE message_notifications SET must_go = true WHERE message_id = NEW.id;
    RETURN NULL;
END $$;

-- FUNCTION souk_note_reaction()

CREATE FUNCTION public.souk_note_reaction() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE messages SET changed_at = clock_timestamp(), version = version + 1 WHERE id = COALESCE(NEW.message_id, OLD.message_id);
    RETURN NULL;
END $$;

-- FUNCTION souk_number_message()

CREATE FUNCTION public.souk_number_message() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.sender_id) THEN
        RAISE EXCEPTION 'sender % is not a user', NEW.sender_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    UPDATE conversations SET last_seq = last_seq + 1, last_message_at = NEW.created_at, updated_at = NEW.created_at,
                             last_message_text = souk_preview(NEW.message_text, NEW.attachments)
    WHERE id = NEW.conversation_id RETURNING last_seq INTO NEW.seq;
    PERFORM souk_lock_members(NEW.conversation_id);
    UPDATE conversation_members SET
        skipped = skipped + (user_id = NEW.sender_id OR NEW.read_by ? user_id::text)::integer,
        maybe_unread = maybe_unread OR user_id <> NEW.sender_id
    WHERE conversation_id = NEW.conversation_id;
    RETURN NEW;
END $$;

-- FUNCTION souk_participants(jsonb)

CREATE FUNCTION public.souk_participants(p_participant_ids jsonb) RETURNS SETOF uuid
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT DISTINCT p.id::uuid
    FROM jsonb_array_elements_text(
        CASE WHEN jsonb_typeof(p_participant_ids) = 'array' THEN p_participant_ids ELSE '[]' END) AS p (id)
    WHERE p.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
$_$;

-- FUNCTION souk_preview(text, jsonb)

CREATE FUNCTION public.souk_preview(p_text text, p_attachments jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT CASE WHEN btrim(p_text, E' \t\r\n') = '' THEN COALESCE(NULLIF(p_attachments -> 0 ->> 'name', ''), p_text) ELSE p_text END
$$;

-- FUNCTION souk_quotes_now(uuid[], uuid[], uuid[])

CREATE FUNCTION public.souk_quotes_now(p_conversations uuid[], p_senders uuid[], p_replies uuid[]) RETURNS TABLE(ord bigint, quote jsonb)
    LANGUAGE plpgsql ROWS 1
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
BEGIN
    IF cardinality(array_remove(p_replies, NULL)) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT i.ord, jsonb_build_object('id', q.id, 'sender_id', q.sender_id, 'created_at', q.created_at, 'version', q.version,
                                     'sender_name', CASE WHEN btrim(u.display_name) <> '' THEN u.display_name ELSE split_part(u.email, '@', 1) END,
                                     'is_deleted', false, 'message_text', q.message_text)
    FROM unnest(p_conversations, p_senders, p_replies) WITH ORDINALITY AS i (conversation_id, sender_id, reply_to, ord)
    JOIN messages q ON q.id = i.reply_to AND q.conversation_id = i.conversation_id AND NOT q.is_deleted
    LEFT JOIN users u ON u.id = q.sender_id
    WHERE NOT EXISTS (SELECT 1 FROM message_deletions h WHERE h.message_id = q.id AND h.user_id = i.sender_id);
END $$;

-- FUNCTION souk_raise_refusal(text, text)

CREATE FUNCTION public.souk_raise_refusal(p_outcome text, p_not_sender text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    CASE
        WHEN p_outcome IN ('not_found', 'gone') THEN RAISE EXCEPTION 'Message not found' USING ERRCODE = 'P0002';
        WHEN p_outcome = 'not_member' THEN RAISE EXCEPTION 'Not authorized' USING ERRCODE = '42501';
        WHEN p_outcome = 'not_sender' THEN RAISE EXCEPTION '%', p_not_sender USING ERRCODE = '42501';
        WHEN p_outcome = 'blocked' THEN RAISE EXCEPTION 'You cannot talk to this user' USING ERRCODE = '42501';
        WHEN p_outcome = 'too_many' THEN RAISE EXCEPTION 'Too many reactions' USING ERRCODE = '54000';
        WHEN p_outcome = 'too_many_edits' THEN RAISE EXCEPTION 'Message was edited too often' USING ERRCODE = '54000';
        ELSE NULL;
    END CASE;
END $$;

-- FUNCTION souk_remove_reaction(uuid, uuid, text)

CREATE FUNCTION public.souk_remove_reaction(p_message_id uuid, p_user_id uuid, p_reaction text) RETURNS TABLE(outcome text, conversation_id uuid, members uuid[], reactions jsonb)
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    l record;
BEGIN
    SELECT * INTO l FROM souk_lock_message(p_message_id, p_user_id);
    conversation_id := l.conversation_id;
    members := l.members;
    outcome := CASE WHEN l.conversation_id IS NULL THEN 'not_found'
                    WHEN NOT p_user_id = ANY (l.members) THEN 'not_member'
                    WHEN l.hidden THEN 'not_found'
                    WHEN l.is_deleted THEN 'gone'
                    ELSE 'removed' END;
    IF outcome = 'removed' THEN
        DELETE FROM message_reactions r
        WHERE r.message_id = p_message_id AND r.user_id = p_user_id
          AND replace(r.reaction, chr(65039), '') = replace(p_reaction, chr(65039), '');
        IF NOT FOUND THEN
            outcome := 'unchanged';
        END IF;
        reactions := souk_reactions(p_message_id);
    END IF;
    RETURN NEXT;
END $$;

-- FUNCTION souk_repeats_now(boolean, uuid[], uuid[], uuid[], text[], jsonb[], text[], text[], uuid[], boolean[])

CREATE FUNCTION public.souk_repeats_now(p_by_id boolean, p_ids uuid[], p_conversations uuid[], p_senders uuid[], p_texts text[], p_attachments jsonb[], p_client_ids text[], p_temp_ids text[], p_replies uuid[], p_again boolean[]) RETURNS TABLE(ord bigint, seq bigint, created_at timestamp with time zone, by_id boolean)
    LANGUAGE plpgsql ROWS 1
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    have_client_ids boolean := cardinality(array_remove(p_client_ids, NULL)) > 0;
    have_temp_ids   boolean := cardinality(array_remove(p_temp_ids, NULL)) > 0;
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (r.ord) r.ord, r.seq, r.created_at, r.by_id
    FROM (
        SELECT i.ord, x.seq, x.created_at, true AS by_id
        FROM unnest(p_ids, p_conversations) WITH ORDINALITY AS i (id, conversation_id, ord)
        JOIN messages x ON x.id = i.id AND x.conversation_id = i.conversation_id
        WHERE p_by_id
        UNION ALL
        SELECT i.ord, x.seq, x.created_at, false
        FROM unnest(p_conversations, p_senders, p_client_ids) WITH ORDINALITY AS i (conversation_id, sender_id, client_message_id, ord)
        JOIN messages x ON x.conversation_id = i.conversation_id AND x.sender_id = i.sender_id
                       AND x.client_message_id = i.client_message_id
        WHERE have_client_ids
        UNION ALL
        SELECT i.ord, x.seq, x.created_at, false
        FROM unnest(p_senders, p_temp_ids) WITH ORDINALITY AS i (sender_id, temp_id, ord)
        JOIN messages x ON x.sender_id = i.sender_id AND x.temp_id = i.temp_id
        WHERE have_temp_ids
          AND x.created_at > now() - CASE WHEN p_again[i.ord] THEN interval '10 minutes' ELSE interval '60 seconds' END
          AND p_client_ids[i.ord] IS NULL AND x.conversation_id = p_conversations[i.ord]
          AND x.message_text = p_texts[i.ord] AND x.attachments = COALESCE(p_attachments[i.ord], '[]')
          AND x.reply_to_message_id IS NOT DISTINCT FROM p_replies[i.ord]
    ) r
    ORDER BY r.ord, r.by_id DESC, r.seq;
END $$;

-- FUNCTION souk_support_user(uuid)

CREATE FUNCTION public.souk_support_user(p_caller uuid) RETURNS TABLE(id uuid, email text, role text, display_name text, status text, created_at text)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    helper uuid;
BEGIN
    SELECT u.id INTO helper
    FROM (SELECT m.conversation_id FROM conversation_members m WHERE m.user_id = p_caller
          ORDER BY m.active_minute DESC LIMIT 1000) mine
    JOIN conversations c ON c.id = mine.conversation_id
    JOIN conversation_members theirs ON theirs.conversation_id = c.id AND theirs.user_id <> p_caller
    JOIN users u ON u.id = theirs.user_id
    WHERE c.status = 'active' AND c.type IN ('customer_support', 'seller_support')
      AND u.role IN ('admin', 'manager') AND u.status = 'active'
    ORDER BY COALESCE(c.last_message_at, c.created_at) DESC, u.created_at, u.id LIMIT 1;
    IF helper IS NULL THEN
        SELECT o.id INTO helper
        FROM (SELECT s.id, s.created_at
              FROM (SELECT u.id, u.created_at FROM users u
                    WHERE u.role IN ('admin', 'manager') AND u.status = 'active'
                    ORDER BY u.created_at, u.id LIMIT 1000) s
              JOIN user_online_status p ON p.user_id = s.id AND p.is_online
              WHERE s.id <> p_caller ORDER BY s.created_at, s.id LIMIT 16) o
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE c.status = 'active') AS active, min(n.active_minute) AS since
            FROM (SELECT m.conversation_id, m.active_minute FROM conversation_members m WHERE m.user_id = o.id
                  ORDER BY m.active_minute DESC LIMIT 250) n
            JOIN conversations c ON c.id = n.conversation_id) load
        ORDER BY load.active, CASE WHEN load.active = 250 THEN load.since END, o.created_at, o.id LIMIT 1;
    END IF;
    IF helper IS NULL THEN
        SELECT u.id INTO helper FROM users u
        WHERE u.role IN ('admin', 'manager') AND u.status = 'active' AND u.id <> p_caller
        ORDER BY u.created_at, u.id LIMIT 1;
    END IF;
    RETURN QUERY SELECT u.id, u.email::text, u.role::text, u.display_name::text, u.status::text,
                        to_char(u.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                 FROM users u WHERE u.id = helper;
END $$;

-- FUNCTION souk_sync_members()

CREATE FUNCTION public.souk_sync_members() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        PERFORM souk_lock_members(NEW.id);
        DELETE FROM conversation_members
        WHERE conversation_id = NEW.id AND user_id NOT IN (SELECT souk_participants(NEW.participant_ids));
    END IF;
    INSERT INTO conversation_members (conversation_id, user_id, last_read_seq, last_delivered_seq)
    SELECT NEW.id, u, NEW.last_seq, NEW.last_seq FROM souk_participants(NEW.participant_ids) AS u ORDER BY u
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- FUNCTION souk_version_now(uuid)

CREATE FUNCTION public.souk_version_now(p_message_id uuid) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    RETURN (SELECT m.version FROM messages m WHERE m.id = p_message_id);
END $$;

-- TABLE _sqlx_migrations

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

-- TABLE chat_files

CREATE TABLE public.chat_files (
    path text NOT NULL,
    owner_id uuid NOT NULL,
    size bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'new'::text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT chat_files_state_check CHECK ((state = ANY (ARRAY['new'::text, 'used'::text, 'unused'::text, 'deleted'::text])))
);

-- TABLE chat_returning_sockets

CREATE TABLE public.chat_returning_sockets (
    pid uuid NOT NULL,
    user_id uuid NOT NULL,
    server_name text NOT NULL,
    rooms uuid[] NOT NULL,
    gone_at timestamp with time zone,
    is_left_over boolean DEFAULT false NOT NULL
);

-- TABLE chat_server_users

CREATE TABLE public.chat_server_users (
    server_name text NOT NULL,
    user_id uuid NOT NULL
);

-- TABLE chat_servers

CREATE TABLE public.chat_servers (
    name text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT now() NOT NULL
);

-- TABLE chat_stored_bytes

CREATE TABLE public.chat_stored_bytes (
    user_id uuid NOT NULL,
    bytes bigint NOT NULL
);

-- TABLE chat_upload_bytes

CREATE TABLE public.chat_upload_bytes (
    user_id uuid NOT NULL,
    day date NOT NULL,
    bytes bigint NOT NULL
);

-- TABLE conversations

CREATE TABLE public.conversations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    type character varying(50) NOT NULL,
    participant_ids jsonb NOT NULL,
    subject character varying(255),
    related_entity_type character varying(50),
    related_entity_id uuid,
    status character varying(20) DEFAULT 'active'::character varying NOT NULL,
    last_message_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    last_message_text text,
    last_seq bigint DEFAULT 0 NOT NULL,
    deleted_after bigint DEFAULT 0 NOT NULL,
    deleted_to bigint DEFAULT 0 NOT NULL,
    CONSTRAINT conversations_status_check CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'closed'::character varying, 'archived'::character varying])::text[]))),
    CONSTRAINT conversations_type_check CHECK (((type)::text = ANY ((ARRAY['customer_seller'::character varying, 'customer_support'::character varying, 'seller_support'::character varying, 'internal'::character varying])::text[])))
)
WITH (fillfactor='80');

-- VIEW conversation_participants

CREATE VIEW public.conversation_participants AS
 SELECT c.id AS conversation_id,
    c.type,
    c.status,
    cm.user_id,
    c.last_message_at,
    c.created_at
   FROM (public.conversations c
     JOIN public.conversation_members cm ON ((cm.conversation_id = c.id)));

-- TABLE message_deletions

CREATE TABLE public.message_deletions (
    message_id uuid NOT NULL,
    user_id uuid NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);

-- TABLE message_edits

CREATE TABLE public.message_edits (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    message_id uuid NOT NULL,
    old_text text NOT NULL,
    edited_by uuid NOT NULL,
    edited_at timestamp with time zone DEFAULT now() NOT NULL
);

-- TABLE message_notifications

CREATE TABLE public.message_notifications (
    message_id uuid NOT NULL,
    notification_id uuid NOT NULL,
    must_go boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

-- TABLE message_reactions

CREATE TABLE public.message_reactions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    message_id uuid NOT NULL,
    user_id uuid NOT NULL,
    reaction character varying(10) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

-- VIEW message_reaction_counts

CREATE VIEW public.message_reaction_counts AS
 SELECT r.message_id,
    ((array_agg(r.reaction ORDER BY r.at, r.user_id))[1])::character varying(10) AS reaction,
    count(*) AS count,
    jsonb_agg(r.user_id ORDER BY r.at, r.user_id) AS user_ids
   FROM ( SELECT message_reactions.message_id,
            replace((message_reactions.reaction)::text, chr(65039), ''::text) AS key,
            message_reactions.user_id,
            min(message_reactions.created_at) AS at,
            (array_agg(message_reactions.reaction ORDER BY message_reactions.created_at, message_reactions.id))[1] AS reaction
           FROM public.message_reactions
          GROUP BY message_reactions.message_id, (replace((message_reactions.reaction)::text, chr(65039), ''::text)), message_reactions.user_id) r
  GROUP BY r.message_id, r.key;

-- TABLE notifications

CREATE TABLE public.notifications (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    type public.notification_type NOT NULL,
    title character varying(255) NOT NULL,
    message text NOT NULL,
    priority public.notification_priority DEFAULT 'medium'::public.notification_priority,
    metadata jsonb DEFAULT '{}'::jsonb,
    action_url character varying(500),
    action_text character varying(100),
    is_read boolean DEFAULT false,
    read_at timestamp without time zone,
    channels public.notification_channel[] DEFAULT ARRAY['in_app'::public.notification_channel],
    expires_at timestamp without time zone,
    created_at timestamp without time zone DEFAULT (now() AT TIME ZONE 'UTC'::text)
);

-- TABLE typing_indicators

CREATE UNLOGGED TABLE public.typing_indicators (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    conversation_id uuid NOT NULL,
    user_id uuid NOT NULL,
    is_typing boolean DEFAULT false NOT NULL,
    last_typed_at timestamp with time zone DEFAULT now() NOT NULL
);

-- VIEW unread_message_counts

CREATE VIEW public.unread_message_counts AS
 SELECT cm.conversation_id,
    cm.user_id,
    ((c.last_seq - cm.last_read_seq) - cm.skipped) AS unread_count
   FROM (public.conversation_members cm
     JOIN public.conversations c ON ((c.id = cm.conversation_id)));

-- TABLE user_blocks

CREATE TABLE public.user_blocks (
    blocker_id uuid NOT NULL,
    blocked_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT user_blocks_check CHECK ((blocker_id <> blocked_id))
);

-- TABLE user_online_status

CREATE TABLE public.user_online_status (
    user_id uuid NOT NULL,
    is_online boolean DEFAULT false NOT NULL,
    last_seen_at timestamp with time zone,
    socket_id character varying(255),
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

-- TABLE users

CREATE TABLE public.users (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email character varying(255) NOT NULL,
    password_hash character varying(255) NOT NULL,
    role character varying(50) DEFAULT 'customer'::character varying NOT NULL,
    display_name character varying(255),
    phone character varying(50),
    created_at timestamp without time zone DEFAULT (now() AT TIME ZONE 'UTC'::text),
    updated_at timestamp without time zone DEFAULT (now() AT TIME ZONE 'UTC'::text),
    last_login_at timestamp without time zone,
    status character varying(50) DEFAULT 'active'::character varying,
    CONSTRAINT users_role_check CHECK (((role)::text = ANY ((ARRAY['customer'::character varying, 'admin'::character varying, 'seller'::character varying, 'manager'::character varying])::text[])))
);

-- CONSTRAINT _sqlx_migrations _sqlx_migrations_pkey

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);

-- CONSTRAINT chat_files chat_files_pkey

ALTER TABLE ONLY public.chat_files
    ADD CONSTRAINT chat_files_pkey PRIMARY KEY (path);

-- CONSTRAINT chat_returning_sockets chat_returning_sockets_pkey

ALTER TABLE ONLY public.chat_returning_sockets
    ADD CONSTRAINT chat_returning_sockets_pkey PRIMARY KEY (pid);

-- CONSTRAINT chat_server_users chat_server_users_pkey

ALTER TABLE ONLY public.chat_server_users
    ADD CONSTRAINT chat_server_users_pkey PRIMARY KEY (server_name, user_id);

-- CONSTRAINT chat_servers chat_servers_pkey

ALTER TABLE ONLY public.chat_servers
    ADD CONSTRAINT chat_servers_pkey PRIMARY KEY (name);

-- CONSTRAINT chat_stored_bytes chat_stored_bytes_pkey

ALTER TABLE ONLY public.chat_stored_bytes
    ADD CONSTRAINT chat_stored_bytes_pkey PRIMARY KEY (user_id);

-- CONSTRAINT chat_upload_bytes chat_upload_bytes_pkey

ALTER TABLE ONLY public.chat_upload_bytes
    ADD CONSTRAINT chat_upload_bytes_pkey PRIMARY KEY (user_id, day);

-- CONSTRAINT conversation_members conversation_members_pkey

ALTER TABLE ONLY public.conversation_members
    ADD CONSTRAINT conversation_members_pkey PRIMARY KEY (conversation_id, user_id);

-- CONSTRAINT conversations conversations_pkey

ALTER TABLE ONLY public.conversations
    ADD CONSTRAINT conversations_pkey PRIMARY KEY (id);

-- CONSTRAINT message_deletions message_deletions_pkey

ALTER TABLE ONLY public.message_deletions
    ADD CONSTRAINT message_deletions_pkey PRIMARY KEY (message_id, user_id);

-- CONSTRAINT message_edits message_edits_pkey

ALTER TABLE ONLY public.message_edits
    ADD CONSTRAINT message_edits_pkey PRIMARY KEY (id);

-- CONSTRAINT message_notifications message_notifications_pkey

ALTER TABLE ONLY public.message_notifications
    ADD CONSTRAINT message_notifications_pkey PRIMARY KEY (message_id, notification_id);

-- CONSTRAINT message_reactions message_reactions_message_id_user_id_reaction_key

ALTER TABLE ONLY public.message_reactions
    ADD CONSTRAINT message_reactions_message_id_user_id_reaction_key UNIQUE (message_id, user_id, reaction);

-- CONSTRAINT message_reactions message_reactions_pkey

ALTER TABLE ONLY public.message_reactions
    ADD CONSTRAINT message_reactions_pkey PRIMARY KEY (id);

-- CONSTRAINT messages messages_pkey

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

-- CONSTRAINT notifications notifications_pkey

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);

-- CONSTRAINT typing_indicators typing_indicators_conversation_id_user_id_key

ALTER TABLE ONLY public.typing_indicators
    ADD CONSTRAINT typing_indicators_conversation_id_user_id_key UNIQUE (conversation_id, user_id);

-- CONSTRAINT typing_indicators typing_indicators_pkey

ALTER TABLE ONLY public.typing_indicators
    ADD CONSTRAINT typing_indicators_pkey PRIMARY KEY (id);

-- CONSTRAINT user_blocks user_blocks_pkey

ALTER TABLE ONLY public.user_blocks
    ADD CONSTRAINT user_blocks_pkey PRIMARY KEY (blocker_id, blocked_id);

-- CONSTRAINT user_online_status user_online_status_pkey

ALTER TABLE ONLY public.user_online_status
    ADD CONSTRAINT user_online_status_pkey PRIMARY KEY (user_id);

-- CONSTRAINT users users_email_key

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);

-- CONSTRAINT users users_pkey

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

-- INDEX chat_files_to_remove

CREATE INDEX chat_files_to_remove ON public.chat_files USING btree (since) WHERE (state = ANY (ARRAY['unused'::text, 'deleted'::text]));

-- INDEX chat_files_unseen

CREATE INDEX chat_files_unseen ON public.chat_files USING btree (created_at) WHERE (state = 'new'::text);

-- INDEX chat_returning_sockets_server

CREATE INDEX chat_returning_sockets_server ON public.chat_returning_sockets USING btree (server_name);

-- INDEX chat_server_users_user

CREATE INDEX chat_server_users_user ON public.chat_server_users USING btree (user_id);

-- INDEX conversation_members_activity

CREATE INDEX conversation_members_activity ON public.conversation_members USING btree (user_id, active_minute DESC, conversation_id);

-- INDEX conversation_members_unread

CREATE INDEX conversation_members_unread ON public.conversation_members USING btree (user_id, conversation_id) WHERE maybe_unread;

-- INDEX message_deletions_user

CREATE INDEX message_deletions_user ON public.message_deletions USING btree (user_id, deleted_at);

-- INDEX message_edits_message

CREATE INDEX message_edits_message ON public.message_edits USING btree (message_id, edited_at DESC);

-- INDEX message_notifications_must_go

CREATE INDEX message_notifications_must_go ON public.message_notifications USING btree (message_id, notification_id) WHERE must_go;

-- INDEX message_notifications_old

CREATE INDEX message_notifications_old ON public.message_notifications USING btree (created_at) WHERE (NOT must_go);

-- INDEX messages_changed

CREATE INDEX messages_changed ON public.messages USING btree (conversation_id, changed_at) WHERE (changed_at IS NOT NULL);

-- INDEX messages_client_message_id

CREATE UNIQUE INDEX messages_client_message_id ON public.messages USING btree (conversation_id, sender_id, client_message_id) WHERE (client_message_id IS NOT NULL);

-- INDEX messages_conversation_seq

CREATE UNIQUE INDEX messages_conversation_seq ON public.messages USING btree (conversation_id, seq);

-- INDEX messages_file_paths

CREATE INDEX messages_file_paths ON public.messages USING gin (public.souk_file_paths(attachments)) WHERE (attachments <> '[]'::jsonb);

-- INDEX messages_reply_to

CREATE INDEX messages_reply_to ON public.messages USING btree (reply_to_message_id) WHERE (reply_to_message_id IS NOT NULL);

-- INDEX messages_sender_temp_id

CREATE INDEX messages_sender_temp_id ON public.messages USING btree (sender_id, temp_id);

-- INDEX notifications_user_id_created_at_idx

CREATE INDEX notifications_user_id_created_at_idx ON public.notifications USING btree (user_id, created_at DESC);

-- INDEX user_blocks_blocked

CREATE INDEX user_blocks_blocked ON public.user_blocks USING btree (blocked_id);

-- TRIGGER conversations conversations_members

CREATE TRIGGER conversations_members AFTER INSERT OR UPDATE OF participant_ids ON public.conversations FOR EACH ROW EXECUTE FUNCTION public.souk_sync_members();

-- TRIGGER messages messages_number

CREATE TRIGGER messages_number BEFORE INSERT ON public.messages FOR EACH ROW WHEN ((new.seq IS NULL)) EXECUTE FUNCTION public.souk_number_message();

-- TRIGGER conversations souk_conversation_activity

CREATE TRIGGER souk_conversation_activity AFTER UPDATE OF last_message_at, created_at ON public.conversations FOR EACH ROW WHEN ((public.souk_minute(COALESCE(new.last_message_at, new.created_at)) IS DISTINCT FROM public.souk_minute(COALESCE(old.last_message_at, old.created_at)))) EXECUTE FUNCTION public.souk_conversation_activity();

-- TRIGGER messages souk_keep_preview

CREATE TRIGGER souk_keep_preview AFTER UPDATE OF message_text, attachments, is_deleted ON public.messages FOR EACH ROW WHEN (((old.message_text IS DISTINCT FROM new.message_text) OR (old.attachments IS DISTINCT FROM new.attachments) OR (old.is_deleted IS DISTINCT FROM new.is_deleted))) EXECUTE FUNCTION public.souk_keep_preview();

-- TRIGGER conversation_members souk_member_activity

CREATE TRIGGER souk_member_activity BEFORE INSERT ON public.conversation_members FOR EACH ROW EXECUTE FUNCTION public.souk_member_activity();

-- TRIGGER conversation_members souk_member_unread

CREATE TRIGGER souk_member_unread BEFORE UPDATE OF last_read_seq ON public.conversation_members FOR EACH ROW WHEN ((new.last_read_seq < old.last_read_seq)) EXECUTE FUNCTION public.souk_member_unread();

-- TRIGGER messages souk_note_change

CREATE TRIGGER souk_note_change BEFORE UPDATE OF message_text, attachments, is_deleted ON public.messages FOR EACH ROW EXECUTE FUNCTION public.souk_note_change();

-- TRIGGER messages souk_note_deleted_files

CREATE TRIGGER souk_note_deleted_files AFTER UPDATE OF is_deleted ON public.messages FOR EACH ROW WHEN ((new.is_deleted AND (old.is_deleted IS DISTINCT FROM true) AND (new.attachments <> '[]'::jsonb))) EXECUTE FUNCTION public.souk_note_deleted_files();

-- TRIGGER messages souk_note_deletion

CREATE TRIGGER souk_note_deletion AFTER UPDATE OF is_deleted ON public.messages FOR EACH ROW WHEN ((new.is_deleted AND (NOT old.is_deleted))) EXECUTE FUNCTION public.souk_note_deletion();

-- TRIGGER message_reactions souk_note_reaction

CREATE TRIGGER souk_note_reaction AFTER INSERT OR DELETE OR UPDATE ON public.message_reactions FOR EACH ROW EXECUTE FUNCTION public.souk_note_reaction();

-- FK CONSTRAINT chat_server_users chat_server_users_server_name_fkey

ALTER TABLE ONLY public.chat_server_users
    ADD CONSTRAINT chat_server_users_server_name_fkey FOREIGN KEY (server_name) REFERENCES public.chat_servers(name) ON DELETE CASCADE;

-- FK CONSTRAINT conversation_members conversation_members_conversation_id_fkey

ALTER TABLE ONLY public.conversation_members
    ADD CONSTRAINT conversation_members_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id) ON DELETE CASCADE;

-- FK CONSTRAINT message_deletions message_deletions_message_id_fkey

ALTER TABLE ONLY public.message_deletions
    ADD CONSTRAINT message_deletions_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE CASCADE;

-- FK CONSTRAINT message_edits message_edits_message_id_fkey

ALTER TABLE ONLY public.message_edits
    ADD CONSTRAINT message_edits_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE CASCADE;

-- FK CONSTRAINT message_reactions message_reactions_message_id_fkey

ALTER TABLE ONLY public.message_reactions
    ADD CONSTRAINT message_reactions_message_id_fkey FOREIGN KEY (message_id) REFERENCES public.messages(id) ON DELETE CASCADE;

-- FK CONSTRAINT messages messages_conversation_id_fkey

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id) ON DELETE CASCADE;

-- FK CONSTRAINT messages messages_reply_to_message_id_fkey

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_reply_to_message_id_fkey FOREIGN KEY (reply_to_message_id) REFERENCES public.messages(id) ON DELETE SET NULL;

-- FK CONSTRAINT notifications notifications_user_id_fkey

ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

-- FK CONSTRAINT typing_indicators typing_indicators_conversation_id_fkey

ALTER TABLE ONLY public.typing_indicators
    ADD CONSTRAINT typing_indicators_conversation_id_fkey FOREIGN KEY (conversation_id) REFERENCES public.conversations(id) ON DELETE CASCADE;

