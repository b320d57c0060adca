package statement

import (
	"strings"
	"unicode/utf8"
)

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
	rollBase  = 0x9E3779B97F4A7C15
)

// form writes a normal form, token by token, to a hash and if asked to a
// buffer. What is written is a function of the tokens alone, and reads back as
// the same tokens.
type form struct {
	place
	out   []byte
	keep  bool
	depth int // open brackets

	sign      byte // a sign where no operand stands before it, held back
	semicolon bool // held back, because the last one is dropped
	secret    secret

	lists   [maxLists]list
	open    int  // lists in use
	marking bool // the next token starts an element of the last list
}

// place is a point in the normal form that can be returned to.
type place struct {
	hash uint64 // FNV-1a of all before
	roll uint64 // polynomial hash of all before, for comparing parts
	size int
	last kind // of the token before
	name name // of the word before
	glue bool // the token before was a sign: no blank follows
	// compares says that the token before was an operator other than a sign, a
	// star or a slash: what follows is compared with it, or assigned.
	compares bool
}

// token adds one token.
func (f *form) token(tok *token) {
	if tok.kind == semicolon {
		f.endStatement()

		return
	}
	if tok.kind == word && f.isConstant(&tok.name) || tok.kind == quoted && !tok.dotted && f.atValue() {
		tok.kind = literal
	}
	switch f.secret.advance(tok) {
	case hidden:
		return
	case hide:
		tok.kind = literal
	case show:
	}
	if tok.kind == operator && (tok.text == "-" || tok.text == "+") && !f.afterOperand() {
		if f.sign == 0 {
			f.sign = tok.text[0]
		}

		return
	}
	if tok.kind != literal {
		f.flushSign()
	}
	f.sign = 0
	f.arrange(tok)
}

// endStatement closes what is open; the semicolon itself waits for a next
// statement.
func (f *form) endStatement() {
	f.flushSign()
	f.closeLists()
	f.depth = 0
	f.secret = secret{}
	if f.last != none {
		f.last, f.semicolon, f.glue = semicolon, true, false
	}
}

// finish ends the text.
func (f *form) finish() {
	f.flushSign()
	f.closeLists()
}

// flushSign writes the sign held back, which turned out to belong to no number.
func (f *form) flushSign() {
	switch f.sign {
	case '-':
		f.arrange(&token{kind: operator, text: "-"})
	case '+':
		f.arrange(&token{kind: operator, text: "+"})
	default:
		return
	}
	f.sign = 0
	f.glue = true
}

// isConstant tells a word that is a literal. In "is null", "not null" and
// "set null" it is a part of the grammar, after "as" and a dot a name.
func (f *form) isConstant(n *name) bool {
	if !n.is("null") && !n.is("true") && !n.is("false") {
		return false
	}
	last := f.before()
	if last == dot {
		return false
	}

	return last != word || !f.name.is("is") && !f.name.is("not") && !f.name.is("set") && !f.name.is("as")
}

// atValue tells whether a string is at least as likely here as a name in double
// quotes: after an operator that compares or assigns, after LIKE, in the lists
// of IN and VALUES.
func (f *form) atValue() bool {
	if f.open > 0 {
		l := &f.lists[f.open-1]
		if depth := f.depth - l.depth; !l.rows && depth == 0 || l.rows && depth == 1 {
			return true
		}
	}

	return f.last == operator && f.compares || f.last == word && (f.name.is("like") || f.name.is("ilike"))
}

// afterOperand tells whether a sign that comes now is a binary operator.
func (f *form) afterOperand() bool {
	switch f.before() {
	case literal, quoted, closing:
		return true
	case word:
		return !f.name.isClause()
	default:
		return false
	}
}

// before returns the kind of the token before, written or held back.
func (f *form) before() kind {
	if f.open > 0 {
		if l := &f.lists[f.open-1]; l.held && l.depth == f.depth {
			return comma
		}
	}

	return f.last
}

// write puts a token into the form, with the blank before it.
func (f *form) write(tok *token) {
	if f.semicolon {
		f.byte(';')
		f.semicolon = false
	}
	if f.blankBefore(tok) {
		f.byte(' ')
	}
	if f.marking {
		f.lists[f.open-1].begin(f.place)
		f.marking = false
	}
	switch tok.kind {
	case literal:
		f.byte('?')
	case word:
		f.text(tok.text, true)
	case quoted:
		if c := tok.text[0]; c == 'u' || c == 'U' {
			f.byte('u')
			f.text(tok.text[1:], false)
		} else {
			f.text(tok.text, false)
		}
	default:
		f.text(tok.text, false)
	}
	f.last, f.glue = tok.kind, false
	if tok.kind == operator {
		f.compares = len(tok.text) > 1 || strings.IndexByte("+-*/%", tok.text[0]) < 0
	}
	if tok.kind == word {
		f.name = tok.name
	}
}

// blankBefore tells whether a blank goes between the last token and tok. Where
// it is left out the two must not read as one.
func (f *form) blankBefore(tok *token) bool {
	switch {
	case f.last == none:
		return false
	case f.glue && (tok.kind == word || tok.kind == quoted || tok.kind == opening):
		return false
	case f.last == dot && tok.text == "*":
		return false
	}
	switch tok.kind {
	case comma, closing, semicolon:
		return false
	case dot, cast:
		return f.last == operator
	case operator:
		return f.last != opening
	case opening:
		switch f.last {
		case opening, quoted, dot, cast:
			return false
		case word:
			return f.name.isClause() && tok.text == "("
		case closing, literal:
			return tok.text == "("
		default:
			return true
		}
	default:
		return f.last != opening && f.last != dot && f.last != cast
	}
}

// text writes the source of a token as valid UTF-8 without NUL.
func (f *form) text(s string, fold bool) {
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && s[end] < utf8.RuneSelf && s[end] != 0 {
			end++
		}
		f.bytes(s[i:end], fold)
		if i = end; i == len(s) {
			return
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || r == 0 {
			f.bytes(string(utf8.RuneError), false)
		} else {
			f.bytes(s[i:i+size], false)
		}
		i += size
	}
}

// bytes writes bytes as they are, or in lower case.
func (f *form) bytes(s string, fold bool) {
	hash, roll := f.hash, f.roll
	for i := range len(s) {
		c := s[i]
		if fold {
			c = lower(c)
		}
		hash = (hash ^ uint64(c)) * fnvPrime
		roll = roll*rollBase + uint64(c)
		if f.keep {
			f.out = append(f.out, c)
		}
	}
	f.hash, f.roll, f.size = hash, roll, f.size+len(s)
}

// byte writes one byte.
func (f *form) byte(c byte) {
	f.hash = (f.hash ^ uint64(c)) * fnvPrime
	f.roll = f.roll*rollBase + uint64(c)
	f.size++
	if f.keep {
		f.out = append(f.out, c)
	}
}

// back returns to an earlier place.
func (f *form) back(to place) {
	f.place = to
	if f.keep {
		f.out = f.out[:to.size]
	}
}

// isClause tells a keyword that an expression follows: a sign after it is
// unary, and a bracket after it stands apart.
func (n *name) isClause() bool {
	switch string(n.bytes[:n.size]) {
	case "all", "and", "any", "as", "between", "by", "case", "check", "default", "distinct", "else",
		"escape", "except", "exists", "fetch", "filter", "for", "from", "group", "having", "ilike", "in", "intersect",
		"into", "is", "join", "lateral", "like", "limit", "not", "offset", "on", "or", "over", "return",
		"returning", "select", "set", "similar", "some", "then", "to", "union", "using", "values", "when",
		"where", "with", "within":
		return true
	}

	return false
}
