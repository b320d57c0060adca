package statement

// maxLists bounds the lists inside lists that are collapsed; deeper ones are
// written as they are.
const maxLists = 8

// list is a sequence of elements in which equal neighbours are written once:
// IN (…), ARRAY[…] and the rows of VALUES.
type list struct {
	rows  bool // VALUES: elements are rows in brackets, at the depth of the word
	depth int  // the depth at which its commas are

	open  bool  // an element has begun and not ended
	held  bool  // a comma came, and no element after it
	count int   // elements kept
	from  place // before the element and its comma
	start place // before the first token of the element
	hash  uint64
	size  int
}

// begin notes where an element's first token goes.
func (l *list) begin(at place) { l.start = at }

// arrange writes a token in its place in the lists around it.
func (f *form) arrange(tok *token) {
	if tok.kind == closing {
		f.close(tok)

		return
	}
	for f.open > 0 && f.depth == f.lists[f.open-1].depth {
		l := &f.lists[f.open-1]
		if tok.kind == comma && (l.open || l.count > 0 && !l.held) {
			f.endElement(l)
			l.held = true

			return
		}
		if l.open && !l.rows {
			break
		}
		if f.startElement(l, tok) {
			break
		}
		f.dropList(l)
	}
	begins := f.beginsList(tok)
	f.write(tok)
	if tok.kind == opening {
		f.depth++
	}
	if begins && f.open < maxLists {
		f.lists[f.open] = list{rows: tok.kind == word, depth: f.depth}
		f.open++
	}
}

// beginsList tells whether the elements of a list come right after tok.
func (f *form) beginsList(tok *token) bool {
	switch {
	case tok.kind == word:
		// In the element of a list without a bracket between, a comma is the list's.
		inList := f.open > 0 && f.lists[f.open-1].depth == f.depth

		return tok.name.is("values") && f.last != dot && !inList
	case tok.kind != opening || f.last != word:
		return false
	}

	return tok.text == "(" && f.name.is("in") || tok.text == "[" && f.name.is("array")
}

// startElement begins an element of l with tok, or tells that tok begins none:
// then the list is none or over.
func (f *form) startElement(l *list, tok *token) bool {
	switch {
	case tok.kind == comma:
		return false
	case l.rows && (tok.kind != opening || l.count > 0 && !l.held):
		return false
	case !l.rows && l.count == 0 && tok.kind == word && tok.name.isQuery():
		return false
	}
	l.from = f.place
	if l.held {
		f.write(&token{kind: comma, text: ","})
		l.held = false
	}
	l.open = true
	f.marking = true

	return true
}

// endElement forgets the element just written when it equals the one before.
func (f *form) endElement(l *list) {
	if !l.open {
		return
	}
	l.open = false
	size := f.size - l.start.size
	hash := f.roll - l.start.roll*power(size)
	if l.count > 0 && hash == l.hash && size == l.size {
		f.back(l.from)

		return
	}
	l.count++
	l.hash, l.size = hash, size
}

// close writes a closing bracket and ends the lists and rows that it closes.
func (f *form) close(tok *token) {
	f.depth = max(f.depth-1, 0)
	for f.open > 0 && f.depth < f.lists[f.open-1].depth {
		l := &f.lists[f.open-1]
		f.endElement(l)
		l.held = false // a comma before the bracket
		f.open--
	}
	if f.open > 0 && f.depth == f.lists[f.open-1].depth && !f.lists[f.open-1].open {
		f.dropList(&f.lists[f.open-1]) // a bracket that nothing opened
	}
	f.write(tok)
	if f.open > 0 && f.depth == f.lists[f.open-1].depth && f.lists[f.open-1].rows {
		f.endElement(&f.lists[f.open-1])
	}
}

// dropList ends the last list before a token that is no part of it.
func (f *form) dropList(l *list) {
	held := l.held
	f.open--
	if held {
		f.write(&token{kind: comma, text: ","})
	}
}

// closeLists ends the lists that the end of the statement leaves open. An
// element cut short after one that is complete says nothing new.
func (f *form) closeLists() {
	for f.open > 0 {
		l := &f.lists[f.open-1]
		switch {
		case l.count == 1 && l.open:
			f.back(l.from)
		case l.count > 1 && l.held:
			f.write(&token{kind: comma, text: ","})
		}
		f.open--
	}
	f.marking = false
}

// power returns rollBase to the n.
func power(n int) uint64 {
	result, base := uint64(1), uint64(rollBase)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result *= base
		}
		base *= base
	}

	return result
}

// isQuery tells the words that begin a query where a list could stand.
func (n *name) isQuery() bool {
	return n.is("select") || n.is("with") || n.is("values") || n.is("table")
}
