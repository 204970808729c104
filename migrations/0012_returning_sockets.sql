-- The sockets whose clients may come back after a restart of their server, with the rooms that they are in.
--
-- Locks: none of a table that is there already.
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
