package statement

// verdict is what becomes of a token in a statement that may carry a secret.
type verdict uint8

const (
	show   verdict = iota
	hide           // written as a literal
	hidden         // left out: a literal before it stands for it
)

// phase is how far a statement is read, as far as secrets go.
type phase uint8

const (
	atStart        phase = iota
	inExplain            // after EXPLAIN, before what it explains
	inOptions            // in the brackets after EXPLAIN
	afterWord            // after a first word that begins no command
	unknown              // a statement that is none
	atObject             // after CREATE or ALTER
	inRole               // CREATE or ALTER ROLE, USER, GROUP, USER MAPPING
	inForeign            // CREATE or ALTER SERVER, FOREIGN …
	inSubscription       // CREATE or ALTER SUBSCRIPTION
	inConfigured         // ALTER DATABASE, SYSTEM, FUNCTION …, which may SET
	inCopy               // COPY
	atSetting            // after SET
	afterSetting         // after the name in SET
	atSecret             // the rest of the statement is one literal
	inSecret
	harmless
)

// secret follows one statement and finds the values that need no quotes, or
// that people forget to quote: SET x TO value, PASSWORD value, OPTIONS (…),
// CONNECTION value, PROGRAM value. From there to its end the statement is one
// literal. pg_stat_activity shows a text before it is parsed, so what follows
// need not be valid.
type secret struct {
	phase      phase
	identified bool // IDENTIFIED came: BY is followed by a password
}

// advance reads one token and tells what becomes of it.
func (s *secret) advance(tok *token) verdict {
	switch s.phase {
	case harmless:
		s.identified = s.identified && tok.kind == word
		if tok.kind != word || !s.identified && tok.name.size != uint8(len("identified")) {
			return show
		}
	case inSecret:
		return hidden
	case atSecret:
		s.phase = inSecret

		return hide
	case atSetting, afterSetting:
		return s.advanceSetting(tok)
	default:
	}
	if tok.kind != word {
		s.phase = s.afterOther(tok)

		return show
	}
	// IDENTIFIED BY is how other systems say PASSWORD.
	if identified := tok.name.is("identified"); identified || s.identified {
		if s.identified && tok.name.is("by") {
			s.phase = atSecret

			return show
		}
		s.identified = s.identified || identified
	}
	if s.phase != harmless {
		s.phase = s.next(&tok.name)
	}

	return show
}

// afterOther returns the phase after a token that is no word.
func (s *secret) afterOther(tok *token) phase {
	s.identified = false
	switch {
	case s.phase == inExplain && tok.kind == opening:
		return inOptions
	case s.phase == inOptions && tok.kind == closing:
		return inExplain
	case s.phase == afterWord && tok.kind == operator && tok.text == "=":
		return atSecret // a connection string
	case s.phase == afterWord:
		return unknown
	case s.phase == atStart && tok.kind != opening, s.phase == inExplain, s.phase == atObject:
		return harmless
	}

	return s.phase
}

// next returns the phase after a word.
func (s *secret) next(n *name) phase {
	switch s.phase {
	case atStart:
		return startPhase(n)
	case inExplain:
		if n.is("analyze") || n.is("analyse") || n.is("verbose") {
			return inExplain
		}

		return startPhase(n)
	case afterWord, unknown:
		if n.is("password") || n.is("passwd") || n.is("pwd") || n.is("passphrase") || n.is("secret") {
			return atSecret
		}

		return unknown
	case atObject:
		return objectPhase(n)
	case inRole:
		if n.is("password") || n.is("options") {
			return atSecret
		}
		if n.is("set") {
			return atSetting
		}
	case inForeign:
		if n.is("options") {
			return atSecret
		}
	case inSubscription:
		if n.is("connection") {
			return atSecret
		}
	case inConfigured:
		if n.is("set") {
			return atSetting
		}
	case inCopy:
		if n.is("program") {
			return atSecret
		}
	default:
	}

	return s.phase
}

// startPhase returns the phase after the first word. What begins no command is
// not SQL, but perhaps what somebody pasted: a connection string, a command of
// another program.
func startPhase(n *name) phase {
	switch string(n.bytes[:n.size]) {
	case "set":
		return atSetting
	case "create", "alter":
		return atObject
	case "copy":
		return inCopy
	case "explain":
		return inExplain
	case "import":
		return inForeign
	case "abort", "analyze", "begin", "call", "checkpoint", "close", "cluster", "comment", "commit", "deallocate", "declare", "delete",
		"discard", "do", "drop", "end", "execute", "fetch", "grant", "insert", "listen", "load", "lock", "merge", "move", "notify",
		"prepare", "reassign", "refresh", "reindex", "release", "reset", "revoke", "rollback", "savepoint", "security", "select", "show",
		"start", "table", "truncate", "unlisten", "update", "vacuum", "values", "with":
		return harmless
	}

	return afterWord
}

func objectPhase(n *name) phase {
	switch string(n.bytes[:n.size]) {
	case "or", "replace", "if", "not", "exists":
		return atObject
	case "role", "user", "group":
		return inRole
	case "server", "foreign":
		return inForeign
	case "subscription":
		return inSubscription
	case "database", "system", "function", "procedure", "routine":
		return inConfigured
	}

	return harmless
}

// advanceSetting reads SET [SESSION | LOCAL] name {TO | =} value and its
// irregular forms: TIME ZONE value, ROLE value, SESSION AUTHORIZATION value.
func (s *secret) advanceSetting(tok *token) verdict {
	if s.phase == atSetting {
		return s.advanceSettingName(tok)
	}
	switch {
	case tok.kind == word && (tok.name.is("to") || tok.name.is("zone")), tok.kind == operator && tok.text == "=":
		s.phase = atSecret
	case tok.kind == dot:
		s.phase = atSetting
	default:
		s.phase = inSecret

		return hide
	}

	return show
}

func (s *secret) advanceSettingName(tok *token) verdict {
	switch {
	case tok.kind == word && (tok.name.is("session") || tok.name.is("local")):
	case tok.kind == word && (tok.name.is("transaction") || tok.name.is("constraints") || tok.name.is("characteristics")):
		s.phase = harmless
	case tok.kind == word, tok.kind == quoted:
		s.phase = afterSetting
	default:
		s.phase = inSecret

		return hide
	}

	return show
}
