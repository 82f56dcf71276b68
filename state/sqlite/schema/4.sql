-- Tokens of bots: to speak for people is a right that a token is given, not a matter of its name.
ALTER TABLE tokens ADD COLUMN bot INTEGER NOT NULL DEFAULT 0 CHECK (bot IN (0, 1));
