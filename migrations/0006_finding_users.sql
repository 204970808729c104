-- Finding users among a million, and whether a file is still named.
--
-- Locks: nothing. The indexes on the shop's `users` that make finding fast are made by the server after its start, or by `souk
-- migrate`, outside of this transaction and on a large table without a lock against writing (CREATE INDEX CONCURRENTLY:
-- src/db/schema/user_indexes.rs); until then, and where the role may not make them, what is below keeps to its time and says
-- that it did not see everybody.

-- Whether an index is there and complete: one that is being built, or whose building was broken off, is not.
-- Called by souk_find_users and src/db/schema/user_indexes.rs.
CREATE FUNCTION souk_index_is_ready(p_name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT COALESCE((SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(p_name)), false)
$$;

-- Active users of p_roles other than p_caller whose name or e-mail contains p_text in any case, up to p_each a role and a few
-- more; then one row without an id, whose `complete` says whether all users were looked at who might be among the first.
-- Called by the server for GET /users/search and GET /users/available.
--
-- It walks each role in the order of names, which finds what is common. What is rare is found by trigrams, where there is that
-- index and the text has three letters in a row; of what they find at least 1,024 users are looked at. Otherwise it walks on
-- until p_budget_ms are over; a small table is walked to its end. Without the index by name rows come in no order.
--
-- Each statement is planned under settings that leave one plan, so that it does not depend on how large the table was then.
CREATE FUNCTION souk_find_users(p_caller uuid, p_roles text[], p_text text, p_each integer, p_budget_ms integer)
RETURNS TABLE (id uuid, email text, role text, display_name text, status text, created_at text, complete boolean)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_sort = off SET enable_bitmapscan = off SET enable_indexscan = on SET enable_indexonlyscan = off
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

-- Whom p_caller should ask for help: the staff member of a support conversation of theirs that is open, of their newest 1,000;
-- else of the staff online the one with the fewest active conversations among their newest 250 (where that is all of them, the
-- one whose 250 reach back furthest); else the longest serving. Called by the server for GET /support-user.
CREATE FUNCTION souk_support_user(p_caller uuid)
RETURNS TABLE (id uuid, email text, role text, display_name text, status text, created_at text)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
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

-- Whether a message that is not deleted names a file. By the index, whatever the size of the table when it was planned.
-- Called by src/db/files/uploads.rs.
CREATE FUNCTION souk_is_file_named(p_path text) RETURNS boolean LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM messages m
                   WHERE m.attachments <> '[]' AND NOT m.is_deleted AND souk_file_paths(m.attachments) && ARRAY[p_path]);
END $$;
