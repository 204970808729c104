-- The chat's own tables that begin empty, with their indexes. None has a foreign key to `users`, which is the shop's.
--
-- Locks: only what it makes. The shop's `notifications` is read once, under an ACCESS SHARE lock (readers and writers go on)
-- that lasts to the end of the transaction: about 2 s for each million rows.

-- 1. Blocks.

-- Between two of whom one blocked the other nothing passes, in either direction. No foreign keys: `users` is the shop's,
-- and a block of somebody who is gone harms nobody.
CREATE TABLE user_blocks (
    blocker_id uuid        NOT NULL,
    blocked_id uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (blocker_id, blocked_id),
    CHECK (blocker_id <> blocked_id)
);
CREATE INDEX user_blocks_blocked ON user_blocks (blocked_id);

-- 2. Presence.

-- Which server holds sockets of which user; rows of a server whose heartbeat stopped are swept.
CREATE TABLE chat_servers (
    name         text PRIMARY KEY,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE chat_server_users (
    server_name text NOT NULL REFERENCES chat_servers (name) ON DELETE CASCADE,
    user_id     uuid NOT NULL,
    PRIMARY KEY (server_name, user_id)
);
CREATE INDEX chat_server_users_user ON chat_server_users (user_id);

-- 3. Notifications of a message that is deleted for everyone: their text goes.

-- Which of the shop's notifications tell of a message. No foreign keys: the shop may drop or clear its table, and a
-- reference to nothing harms nobody.
CREATE TABLE message_notifications (
    message_id      uuid    NOT NULL,
    notification_id uuid    NOT NULL,
    -- The message was deleted for everyone; a server takes the text out and then drops this row.
    must_go         boolean NOT NULL DEFAULT false,
    -- Servers drop the row 90 days later.
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (message_id, notification_id)
);
CREATE INDEX message_notifications_old ON message_notifications (created_at) WHERE NOT must_go;
CREATE INDEX message_notifications_must_go ON message_notifications (message_id, notification_id) WHERE must_go;

-- The notifications that are there already, where the shop's table is of the usual shape and may be read.
DO $$
BEGIN
    IF to_regclass('notifications') IS NULL OR NOT has_table_privilege('notifications', 'SELECT') THEN
        RETURN;
    END IF;
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('notifications') AND NOT attisdropped
          AND (attname, format_type(atttypid, NULL)) IN (('id', 'uuid'), ('metadata', 'jsonb'))) = 2 THEN
        EXECUTE $backfill$
            INSERT INTO message_notifications (message_id, notification_id, must_go)
            SELECT m.id, n.id, m.is_deleted
            FROM (SELECT id, CASE WHEN metadata ->> 'message_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                  THEN (metadata ->> 'message_id')::uuid END AS message_id FROM notifications) n
            JOIN messages m ON m.id = n.message_id
            WHERE n.id IS NOT NULL
            ON CONFLICT DO NOTHING
        $backfill$;
    END IF;
END $$;

-- 4. Texts and files.

-- How many bytes of text each user has stored, for a limit. Servers add to it in batches.
CREATE TABLE chat_stored_bytes (
    user_id uuid   PRIMARY KEY,
    bytes   bigint NOT NULL
);

-- What was uploaded since adoption, until it is removed. Older files are only here once they are to be removed.
CREATE TABLE chat_files (
    path       text PRIMARY KEY,
    owner_id   uuid NOT NULL,
    size       bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- 'new': no message was seen to name it yet. 'used': one was. 'unused': none did for a day; it goes when that is still so
    -- a little later. 'deleted': it goes at once, since its messages were deleted for everyone.
    state      text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'used', 'unused', 'deleted')),
    since      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX chat_files_unseen ON chat_files (created_at) WHERE state = 'new';
CREATE INDEX chat_files_to_remove ON chat_files (since) WHERE state IN ('unused', 'deleted');

-- What each user uploaded on each day (UTC).
CREATE TABLE chat_upload_bytes (
    user_id uuid NOT NULL,
    day     date NOT NULL,
    bytes   bigint NOT NULL,
    PRIMARY KEY (user_id, day)
);

-- 5. Sockets that may come back after a restart.

-- The sockets whose clients may come back after a restart of their server, with the rooms that they are in.
--
-- A row is written within a moment after its socket came, entered or left a room, or lost its line, and removed when nobody may
-- come back as it any more. The start of a server marks those that its earlier life left behind. No foreign key: a user, or a
-- conversation, that is gone by then is asked for when the client comes back.
CREATE TABLE chat_returning_sockets (
    pid          uuid PRIMARY KEY,
    user_id      uuid NOT NULL,
    server_name  text NOT NULL,
    rooms        uuid[] NOT NULL,
    -- When its line was lost; NULL while it is there.
    gone_at      timestamptz,
    is_left_over boolean NOT NULL DEFAULT false
);

CREATE INDEX chat_returning_sockets_server ON chat_returning_sockets (server_name);
