-- The baseline: the objects of the Node server's database, created only where they are missing.
--
-- Three kinds of database come through here: an empty one gets everything, the shop's own gets nothing
-- (all of it is there already), and a partly built one gets what it lacks. From 0002 on there is one
-- path for all of them. `users` and `notifications` belong to the shop and are never altered.

-- "already exists, skipping" is no news here.
SET LOCAL client_min_messages = warning;

CREATE TABLE IF NOT EXISTS users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email         varchar(255) NOT NULL UNIQUE,
    password_hash varchar(255) NOT NULL,
    role          varchar(50) NOT NULL DEFAULT 'customer' CHECK (role IN ('customer', 'admin', 'seller', 'manager')),
    display_name  varchar(255),
    phone         varchar(50),
    created_at    timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at    timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    last_login_at timestamp,
    status        varchar(50) DEFAULT 'active'
);

CREATE TABLE IF NOT EXISTS conversations (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    type                varchar(50) NOT NULL CHECK (type IN ('customer_seller', 'customer_support', 'seller_support', 'internal')),
    participant_ids     jsonb NOT NULL,
    subject             varchar(255),
    related_entity_type varchar(50),
    related_entity_id   uuid,
    status              varchar(20) DEFAULT 'active' CHECK (status IN ('active', 'closed', 'archived')),
    last_message_at     timestamp,
    created_at          timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at          timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    closed_at           timestamp,
    metadata            jsonb DEFAULT '{}'
);
ALTER TABLE conversations ADD COLUMN IF NOT EXISTS last_message_text text;

CREATE TABLE IF NOT EXISTS messages (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    sender_id       uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    message_text    text NOT NULL,
    message_type    varchar(20) DEFAULT 'text' CHECK (message_type IN ('text', 'image', 'file', 'system')),
    attachments     jsonb DEFAULT '[]',
    read_by         jsonb DEFAULT '[]',
    delivered_to    jsonb DEFAULT '[]',
    is_edited       boolean DEFAULT false,
    is_deleted      boolean DEFAULT false,
    created_at      timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    updated_at      timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    edited_at       timestamp,
    deleted_at      timestamp,
    status          varchar(20) DEFAULT 'sent' CHECK (status IN ('sending', 'sent', 'delivered', 'read', 'failed')),
    delivered_at    timestamptz,
    read_at         timestamptz
);
-- The Node server's later migration (replies, edits, deletions) is missing on some installations.
ALTER TABLE messages
    ADD COLUMN IF NOT EXISTS reply_to_message_id uuid REFERENCES messages (id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS deletion_type varchar(20) CHECK (deletion_type IN ('for_me', 'for_everyone')),
    ADD COLUMN IF NOT EXISTS deleted_by uuid,
    ADD COLUMN IF NOT EXISTS edit_count integer DEFAULT 0,
    ADD COLUMN IF NOT EXISTS last_edited_at timestamp;

CREATE TABLE IF NOT EXISTS message_reactions (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id uuid NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reaction   varchar(10) NOT NULL,
    created_at timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    UNIQUE (message_id, user_id, reaction)
);

CREATE TABLE IF NOT EXISTS message_edits (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    message_id uuid NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    old_text   text NOT NULL,
    edited_by  uuid NOT NULL,
    edited_at  timestamp DEFAULT (now() AT TIME ZONE 'UTC')
);

CREATE TABLE IF NOT EXISTS typing_indicators (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    is_typing       boolean DEFAULT false,
    last_typed_at   timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    UNIQUE (conversation_id, user_id)
);

CREATE TABLE IF NOT EXISTS user_online_status (
    user_id      uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    is_online    boolean DEFAULT false,
    last_seen_at timestamp,
    socket_id    varchar(255),
    updated_at   timestamp DEFAULT (now() AT TIME ZONE 'UTC')
);

DO $$
BEGIN
    IF to_regclass('notifications') IS NULL THEN
        IF to_regtype('notification_type') IS NULL THEN
            CREATE TYPE notification_type AS ENUM ('new_message');
        END IF;
        IF to_regtype('notification_priority') IS NULL THEN
            CREATE TYPE notification_priority AS ENUM ('low', 'medium', 'high', 'urgent');
        END IF;
        IF to_regtype('notification_channel') IS NULL THEN
            CREATE TYPE notification_channel AS ENUM ('in_app', 'email', 'sms', 'push');
        END IF;
        CREATE TABLE notifications (
            id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            type        notification_type NOT NULL,
            title       varchar(255) NOT NULL,
            message     text NOT NULL,
            priority    notification_priority DEFAULT 'medium',
            metadata    jsonb DEFAULT '{}',
            action_url  varchar(500),
            action_text varchar(100),
            is_read     boolean DEFAULT false,
            read_at     timestamp,
            channels    notification_channel[] DEFAULT ARRAY ['in_app']::notification_channel[],
            expires_at  timestamp,
            created_at  timestamp DEFAULT (now() AT TIME ZONE 'UTC')
        );
        CREATE INDEX ON notifications (user_id, created_at DESC);
    END IF;
END $$;
