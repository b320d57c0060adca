package statement

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token is to the normal form.
type kind uint8

const (
	none     kind = iota // before the first token
	word                 // unquoted identifier or keyword
	quoted               // quoted identifier
	literal              // constant of any type, or a parameter
	operator             // operator, and every odd character
	opening              // ( or [
	closing              // ) or ]
	comma
	dot
	cast // ::
	semicolon
)

// token is one lexical element; text is its source.
type token struct {
	kind   kind
	text   string
	name   name // of a word
	dotted bool // of a quoted identifier: a dot follows
}

// name is a word in lower case, as far as keywords go: a longer word has size 0.
type name struct {
	bytes [16]byte
	size  uint8
}

func (n *name) is(s string) bool { return string(n.bytes[:n.size]) == s }

// fold sets the name of a word.
func (n *name) fold(s string) {
	n.size = 0
	if len(s) > len(n.bytes) {
		return
	}
	for i := range len(s) {
		n.bytes[i] = lower(s[i])
	}
	n.size = uint8(len(s))
}

// maxOperator bounds one operator, far above the 63 bytes that PostgreSQL
// allows, so that a run of a million of them is read in linear time.
const maxOperator = 64

// scanner splits a text into tokens by the rules of PostgreSQL's scan.l. White
// space and comments are no tokens. What the end of the text leaves open is a
// literal.
type scanner struct {
	text string
	pos  int
}

// next reads the next token into tok, or returns false at the end.
func (s *scanner) next(tok *token) bool {
	s.pos = skipBlank(s.text, s.pos)
	if s.pos >= len(s.text) {
		return false
	}
	start := s.pos
	tok.kind = s.scan()
	tok.text = s.text[start:s.pos]
	switch tok.kind {
	case word:
		tok.name.fold(tok.text)
	case quoted:
		next := skipBlank(s.text, s.pos)
		tok.dotted = next < len(s.text) && s.text[next] == '.'
	default:
	}

	return true
}

// scan moves over one token and tells its kind.
func (s *scanner) scan() kind {
	c := s.text[s.pos]
	switch {
	case isWordStart(c):
		return s.scanWord()
	case isDigit(c), c == '.' && isDigit(s.peek(1)) && (s.pos == 0 || s.text[s.pos-1] != '.'):
		return s.scanNumber()
	case c == '\'':
		return s.scanString(false)
	case c == '"':
		return s.scanQuoted()
	case c == '$':
		return s.scanDollar()
	case isOperator(c):
		return s.scanOperator()
	case c == ':' && s.peek(1) == ':':
		s.pos += 2

		return cast
	case c == ':' && s.peek(1) == '=':
		s.pos += 2

		return operator
	case c == ':' && s.peek(1) == '/' && s.peek(2) == '/': // an address, which may have a password in it
		s.pos = len(s.text)

		return literal
	}
	s.pos++
	switch c {
	case '(', '[':
		return opening
	case ')', ']':
		return closing
	case ',':
		return comma
	case '.':
		return dot
	case ';':
		return semicolon
	}

	return operator
}

// peek returns the byte n after the current one, 0 past the end.
func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.text) {
		return s.text[s.pos+n]
	}

	return 0
}

// scanWord reads a word, or the string or quoted identifier that a prefix of one
// letter introduces: E, B, X and N for strings, U& for both.
func (s *scanner) scanWord() kind {
	c, after := lower(s.text[s.pos]), s.peek(1)
	switch {
	case after == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n'):
		s.pos++

		return s.scanString(c == 'e')
	case c == 'u' && after == '&' && s.peek(2) == '\'':
		s.pos += 2

		return s.scanString(false)
	case c == 'u' && after == '&' && s.peek(2) == '"':
		s.pos += 2

		return s.scanQuoted()
	}
	s.skipWord()

	return word
}

func (s *scanner) skipWord() {
	for s.pos < len(s.text) && isWord(s.text[s.pos]) && (s.text[s.pos] < 0x80 || oddBlank(s.text, s.pos) == 0) {
		s.pos++
	}
}

// scanString reads a string from its quote on, with the parts that continue it
// on later lines.
func (s *scanner) scanString(backslash bool) kind {
	for {
		s.pos = skipString(s.text, s.pos+1, backslash)
		next, newline := skipBlankLines(s.text, s.pos)
		if !newline || next >= len(s.text) || s.text[next] != '\'' {
			return literal
		}
		s.pos = next
	}
}

// skipString returns the place after the closing quote of a string whose
// inside starts at pos. Where backslashes mean nothing unless
// standard_conforming_strings is off, which a text does not tell, one before a
// quote makes all that follows a part of the string.
func skipString(text string, pos int, backslash bool) int {
	for pos < len(text) {
		switch {
		case text[pos] == '\\':
			if pos++; !backslash && pos < len(text) && text[pos] == '\'' {
				return len(text)
			}
		case text[pos] != '\'':
		case pos+1 < len(text) && text[pos+1] == '\'':
			pos++
		default:
			return pos + 1
		}
		pos++
	}

	return len(text)
}

// scanQuoted reads a quoted identifier from its quote on. One that never ends
// may be anything, so it is a literal.
func (s *scanner) scanQuoted() kind {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		if s.text[s.pos] != '"' {
			continue
		}
		if s.peek(1) != '"' {
			s.pos++

			return quoted
		}
		s.pos++
	}
	s.pos = len(s.text)

	return literal
}

// scanNumber reads a number and all that sticks to it: 12, 1_000, 0x1F, .5,
// 1.5e-7, and junk such as 12abc, which older servers read as two tokens.
func (s *scanner) scanNumber() kind {
	start := s.pos
	plain := true // only digits so far: an exponent may follow
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		switch {
		case isDigit(c), c == '_':
		case c == '.':
			if s.peek(1) == '.' {
				return literal
			}
		case isWord(c):
			exponent := plain && s.pos > start && lower(c) == 'e'
			plain = false
			if sign := s.peek(1); exponent && (sign == '+' || sign == '-') && (s.pos+2 >= len(s.text) || isDigit(s.peek(2))) {
				s.pos++
			}
		default:
			return literal
		}
		s.pos++
	}

	return literal
}

// scanDollar reads a dollar-quoted string or a parameter. A dollar that starts
// neither is a literal with all that sticks to it.
func (s *scanner) scanDollar() kind {
	start := s.pos
	s.pos++
	if isWordStart(s.peek(0)) {
		for s.pos < len(s.text) && isWord(s.text[s.pos]) && s.text[s.pos] != '$' {
			s.pos++
		}
	}
	if s.peek(0) != '$' {
		s.skipWord()

		return literal
	}
	s.pos++
	tag := s.text[start:s.pos]
	if end := strings.Index(s.text[s.pos:], tag); end >= 0 {
		s.pos += end + len(tag)
	} else {
		s.pos = len(s.text)
	}

	return literal
}

// scanOperator reads an operator: as many operator characters as there are,
// short of a comment, and without the signs at its end that belong to what
// follows.
func (s *scanner) scanOperator() kind {
	start := s.pos
	special := -1 // the last character that lets an operator end in a sign
	for s.pos < len(s.text) && s.pos-start < maxOperator && isOperator(s.text[s.pos]) && !isComment(s.text, s.pos) {
		if strings.IndexByte("~!@#%^&|`?", s.text[s.pos]) >= 0 {
			special = s.pos
		}
		s.pos++
	}
	for s.pos-start > 1 && special < start && (s.text[s.pos-1] == '+' || s.text[s.pos-1] == '-') {
		s.pos--
	}
	if s.pos-start == 1 && s.text[start] == '?' {
		return literal
	}

	return operator
}

// skipBlank returns the place of the next character that is neither white
// space nor comment.
func skipBlank(text string, pos int) int {
	for pos < len(text) {
		switch {
		case isSpace(text[pos]):
			pos++
		case text[pos] >= 0x80:
			n := oddBlank(text, pos)
			if n == 0 {
				return pos
			}
			pos += n
		case isComment(text, pos) && text[pos] == '-':
			pos = skipLine(text, pos)
		case isComment(text, pos):
			pos = skipBlockComment(text, pos)
		default:
			return pos
		}
	}

	return pos
}

// oddBlank returns the length of the white space or mark of no width at pos that
// is not ASCII, 0 for none. To PostgreSQL it is a part of a word, but who pasted
// it before SET did not mean another word.
func oddBlank(text string, pos int) int {
	switch text[pos] {
	case 0xc2, 0xe1, 0xe2, 0xe3, 0xef:
	default:
		return 0
	}
	r, size := utf8.DecodeRuneInString(text[pos:])
	if r == '\ufeff' || r == '\u180e' || r >= '\u200b' && r <= '\u200f' || r == '\u2060' || r != utf8.RuneError && unicode.IsSpace(r) {
		return size
	}

	return 0
}

// skipBlankLines is skipBlank for the gap between the parts of one string,
// which has no block comment and must hold a new line.
func skipBlankLines(text string, pos int) (end int, newline bool) {
	for pos < len(text) {
		switch {
		case isSpace(text[pos]):
			newline = newline || text[pos] == '\n' || text[pos] == '\r'
			pos++
		case isComment(text, pos) && text[pos] == '-':
			pos = skipLine(text, pos)
		default:
			return pos, newline
		}
	}

	return pos, newline
}

func skipLine(text string, pos int) int {
	if end := strings.IndexAny(text[pos:], "\r\n"); end >= 0 {
		return pos + end
	}

	return len(text)
}

// skipBlockComment returns the place after a comment, which may hold others.
func skipBlockComment(text string, pos int) int {
	depth := 0
	for pos+1 < len(text) {
		switch {
		case text[pos] == '/' && text[pos+1] == '*':
			depth++
			pos += 2
		case text[pos] == '*' && text[pos+1] == '/':
			depth--
			pos += 2
			if depth == 0 {
				return pos
			}
		default:
			pos++
		}
	}

	return len(text)
}

// isComment tells whether a comment of either kind starts at pos.
func isComment(text string, pos int) bool {
	if pos+1 >= len(text) {
		return false
	}

	return text[pos] == '-' && text[pos+1] == '-' || text[pos] == '/' && text[pos+1] == '*'
}

func isSpace(c byte) bool { return c <= ' ' || c == 0x7f }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWordStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func isWord(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func isOperator(c byte) bool {
	switch c {
	case '+', '-', '*', '/', '<', '>', '=', '~', '!', '@', '#', '%', '^', '&', '|', '`', '?':
		return true
	}

	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}

	return c
}
