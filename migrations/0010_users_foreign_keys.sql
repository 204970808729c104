-- A user whom the shop deletes leaves everything of the chat's in its place: no foreign key of the chat's tables leads to users.
--
-- Locks: `users` and the tables that had a foreign key to it ACCESS EXCLUSIVE, until the transaction ends, which it does right
-- after this file: milliseconds. Nothing is read or rewritten. It is the last file so that `users`, which everybody reads, is
-- locked no longer.
--
-- What they wrote stays: a message's number is never missing, and unread counts are differences of numbers. The foreign
-- keys of the chat's tables to `users` took it all away, made the shop's DELETE as long as the user's history, and had each
-- stored message look at its sender's row and lock it. Instead: a sender is a member of the conversation, which the
-- statement that stores checks under the conversation's lock, together with that there is such a user; reactions and edits
-- go through functions that check the member. The shop's own `notifications` keep what the shop gave them.
--
-- At the end, as everybody reads `users`: it is locked no longer than this takes. Where somebody else has it, each try gives up
-- before their queries pile up behind it; after some the migration fails as a whole, and the server begins it again.
DO $$
DECLARE
    k record;
    tries integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '400ms', true);
    FOR k IN
             -- `souk migrate --check` runs this query too: foreign keys
             SELECT c.conrelid::regclass AS rel, c.conname FROM pg_constraint c
             WHERE c.contype = 'f' AND c.confrelid = to_regclass('users') AND c.conrelid IN (
                 to_regclass('conversations'), to_regclass('messages'), to_regclass('message_reactions'), to_regclass('message_edits'),
                 to_regclass('typing_indicators'), to_regclass('user_online_status'))
             -- end
    LOOP
        LOOP
            BEGIN
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.rel, k.conname);
                EXIT;
            EXCEPTION WHEN lock_not_available THEN
                tries := tries + 1;
                IF tries = 5 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(1);
            END;
        END LOOP;
    END LOOP;
    PERFORM set_config('lock_timeout', '0', true);
END $$;
