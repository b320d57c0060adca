package statement

// Normalize returns the normal form of a statement: every literal and
// parameter is a question mark, comments are gone, white space is single
// blanks, unquoted words are in lower case, equal neighbours in the lists of
// IN, ARRAY and VALUES are one, and a closing semicolon is dropped. The result
// is valid UTF-8 without NUL: bytes that are neither become U+FFFD.
func Normalize(text string) string {
	f := form{keep: true, out: make([]byte, 0, len(text))}
	f.read(text)

	return string(f.out)
}

// Fingerprint returns a 64-bit FNV-1a hash of the normal form of a statement.
// It is stable over processes and platforms, never 0, and computed in one pass
// without allocating.
func Fingerprint(text string) uint64 {
	f := form{}
	f.read(text)
	if f.hash == 0 {
		return 1
	}

	return f.hash
}

// read builds the normal form of text.
func (f *form) read(text string) {
	f.hash = fnvOffset
	s := scanner{text: text}
	var tok token
	for s.next(&tok) {
		f.token(&tok)
	}
	f.finish()
}
