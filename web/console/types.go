package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// schema is what is used of JSON Schema.
type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"` // a name, or several
	Enum        []any             `json:"enum"`
	AnyOf       []schema          `json:"anyOf"`
	Items       *schema           `json:"items"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	Additional  json.RawMessage   `json:"additionalProperties"` // a schema, or whether there are any
	Description string            `json:"description"`
}

type operation struct {
	Parameters []struct {
		Name, In string
		Schema   schema
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

type openAPI struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

// typesOf gives the types of what /api/v1 answers, in TypeScript: an interface a
// schema, and Gets with query and answer of each path that can be read.
func typesOf(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	var doc openAPI
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	w := writer{doc: doc, used: make(map[string]bool)}
	var paths bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		get, ok := doc.Paths[path]["get"]
		if ok && strings.HasPrefix(path, "/api/v1/") {
			fmt.Fprintf(&paths, "  %q: {\n    query: %s;\n    answer: %s;\n  };\n", path, w.query(get), w.answer(get))
		}
		// What is sent by other methods has types, too.
		for method, op := range doc.Paths[path] {
			if strings.HasPrefix(path, "/api/v1/") && method != "get" {
				w.answer(op)
			}
		}
	}
	var out bytes.Buffer
	out.WriteString("// Made from the API's document by go run ./web/console. DO NOT EDIT.\n\n" +
		"/** Query and answer of what can be read. */\nexport interface Gets {\n")
	out.Write(paths.Bytes())
	out.WriteString("}\n")
	w.interfaces(&out)
	return out.Bytes(), nil
}

type writer struct {
	doc  openAPI
	used map[string]bool // schemas by name; false: not yet written
}

// interfaces writes those that are used, and those that they use.
func (w *writer) interfaces(out *bytes.Buffer) {
	written := make(map[string]string)
	for len(written) < len(w.used) {
		for _, name := range slices.Sorted(maps.Keys(w.used)) {
			if _, done := written[name]; !done {
				written[name] = w.object(w.doc.Components.Schemas[name], "")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		fmt.Fprintf(out, "\nexport interface %s %s\n", name, written[name])
	}
}

func (w *writer) object(s schema, indent string) string {
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p, optional := s.Properties[name], "?"
		if slices.Contains(s.Required, name) {
			optional = ""
		}
		if p.Description != "" {
			fmt.Fprintf(&b, "%s  /** %s */\n", indent, strings.ReplaceAll(p.Description, "*/", "* /"))
		}
		fmt.Fprintf(&b, "%s  %s%s: %s;\n", indent, quoted(name), optional, w.typeOf(p))
	}
	return b.String() + indent + "}"
}

func quoted(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return strconv.Quote(name)
	}
	return name
}

func (w *writer) typeOf(s schema) string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		w.used[name] = true
		return name
	case len(s.AnyOf) > 0:
		return w.union(s.AnyOf)
	case len(s.Enum) > 0:
		return values(s.Enum)
	}
	var list []string
	switch t := s.Type.(type) {
	case string:
		list = append(list, w.named(t, s))
	case []any:
		for _, name := range t {
			list = append(list, w.named(fmt.Sprint(name), s))
		}
	default:
		return "unknown"
	}
	return strings.Join(list, " | ")
}

func (w *writer) union(of []schema) string {
	list := make([]string, len(of))
	for i, s := range of {
		list[i] = w.typeOf(s)
	}
	return strings.Join(list, " | ")
}

func values(of []any) string {
	list := make([]string, len(of))
	for i, v := range of {
		text, _ := json.Marshal(v) //nolint:errchkjson // it was JSON
		list[i] = string(text)
	}
	return strings.Join(list, " | ")
}

// named gives a type of JSON Schema.
func (w *writer) named(name string, s schema) string {
	switch name {
	case "integer":
		return "number"
	case "array":
		if s.Items == nil {
			return "unknown[]"
		}
		if of := w.typeOf(*s.Items); !strings.Contains(of, " ") {
			return of + "[]"
		}
		return "(" + w.typeOf(*s.Items) + ")[]"
	case "object":
		var of schema
		if len(s.Properties) == 0 && json.Unmarshal(s.Additional, &of) == nil {
			return "Record<string, " + w.typeOf(of) + ">"
		}
		return strings.ReplaceAll(w.object(s, "  "), "\n", "\n  ")
	}
	return name
}

// query is what can be asked for.
func (w *writer) query(op operation) string {
	var list []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			list = append(list, quoted(p.Name)+"?: "+w.typeOf(p.Schema))
		}
	}
	if len(list) == 0 {
		return "Record<string, never>"
	}
	slices.Sort(list)
	return "{ " + strings.Join(list, "; ") + " }"
}

// answer is the body of success: as JSON where it comes in other forms too.
func (w *writer) answer(op operation) string {
	for _, status := range []string{"200", "201"} {
		content := op.Responses[status].Content
		if media, ok := content["application/json"]; ok {
			return w.typeOf(media.Schema)
		}
		for _, media := range content { // a stream has one
			return w.typeOf(media.Schema)
		}
	}
	return "void"
}
