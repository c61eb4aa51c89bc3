-- What people typed, as the policy counts it; and how far a memory may be shown.

-- Quotations, code and labels left out, entities as ids and addresses. A sink argument of a standing
-- rule has to be a whole token of it.
ALTER TABLE messages ADD COLUMN typed text NOT NULL DEFAULT '';

-- Whatever changes the text of a message (an edit, a deletion, its retention), what was typed before
-- counts no more, and what is typed later never did.
CREATE FUNCTION openloop.typed_no_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.typed := '';
    RETURN NEW;
END $$;
CREATE TRIGGER typed_no_more BEFORE UPDATE OF text ON messages
    FOR EACH ROW WHEN (OLD.text IS DISTINCT FROM NEW.text) EXECUTE FUNCTION openloop.typed_no_more();

-- The class of place up to which a memory may be shown: that of the narrowest thing its run had read.
ALTER TABLE memories ADD COLUMN visible_in text NOT NULL DEFAULT 'public'
    CHECK (visible_in IN ('private', 'internal', 'guests', 'shared', 'public'));
