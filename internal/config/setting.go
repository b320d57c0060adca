package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"github.com/pgam/pgam/internal/secret"
)

// Setting describes one variable, for documents and commands.
type Setting struct {
	Name        string   // PGAM_…
	Default     string   // "" for none
	Unit        string   // what its value is: duration, bytes, list, …
	Limits      string   // which values are accepted, in words; "" for any
	Description string   // one or two sentences
	Programs    []string // who reads it: collector, api, pgam
	PythonName  string   // the Python version's name, read as well; "" for none
	Required    bool     // whether a daemon refuses to start without it
	Secret      bool     // whether it may come from a file and never prints
}

// Describe returns every setting: those of all programs first, then the
// collector's, then the API's, each in the order of the structs.
func Describe() []Setting {
	var settings []Setting
	for _, program := range []struct {
		name string
		spec any
	}{{"collector", &Collector{}}, {"api", &API{}}, {"pgam", &Tool{}}} {
		for _, f := range fieldsOf(program.spec) {
			at := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == f.name })
			if at < 0 {
				at = len(settings)
				settings = append(settings, f.describe())
			}
			settings[at].Programs = append(settings[at].Programs, program.name)
		}
	}
	slices.SortStableFunc(settings, func(a, b Setting) int { return len(b.Programs) - len(a.Programs) })
	return settings
}

// MarkdownTable returns the settings as a table for docs/OPERATIONS.md.
func MarkdownTable() string {
	var out strings.Builder
	out.WriteString("| Variable | Read by | Value | Default | Meaning |\n|---|---|---|---|---|\n")
	for _, s := range Describe() {
		value, preset, meaning := s.Unit, "–", s.Description
		if s.Limits != "" {
			value += ": " + s.Limits
		}
		if s.Default != "" {
			preset = "`" + s.Default + "`"
		} else if s.Required {
			preset = "**required**"
		}
		if s.PythonName != "" {
			meaning += " The Python version's `" + s.PythonName + "` is read as well."
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", s.Name, strings.Join(s.Programs, ", "), value, preset, meaning)
	}
	return out.String()
}

// field is one setting of one program: a place to put it, and its tags.
type field struct {
	name       string // with the prefix
	pythonName string
	pythonUnit string // put behind a bare number under pythonName
	secret     bool
	tags       reflect.StructTag
	value      reflect.Value
}

// fieldsOf lists the settings of spec, a pointer to one of this package's
// structs, its embedded structs first.
func fieldsOf(spec any) []field {
	var fields []field
	value := reflect.ValueOf(spec).Elem()
	for i := range value.NumField() {
		structField := value.Type().Field(i)
		if structField.Anonymous {
			fields = append(fields, fieldsOf(value.Field(i).Addr().Interface())...)
			continue
		}
		pythonName, pythonUnit, _ := strings.Cut(structField.Tag.Get("python"), ",")
		fields = append(fields, field{
			name:       prefix + structField.Tag.Get("envconfig"),
			pythonName: pythonName,
			pythonUnit: pythonUnit,
			secret:     structField.Type == reflect.TypeFor[secret.Value](),
			tags:       structField.Tag,
			value:      value.Field(i),
		})
	}
	return fields
}

func (f field) required() bool { return f.tags.Get("required") == "true" }

// example is a value that is accepted.
func (f field) example() string {
	if example := f.tags.Get("example"); example != "" {
		return example
	}
	return f.tags.Get("default")
}

func (f field) describe() Setting {
	return Setting{
		Name: f.name, Default: f.tags.Get("default"), Unit: f.unit(), Limits: f.limits(), Description: f.tags.Get("desc"),
		PythonName: f.pythonName, Required: f.required(), Secret: f.secret,
	}
}

func (f field) unit() string {
	switch f.value.Interface().(type) {
	case secret.Value:
		return "secret"
	case Duration:
		return "duration"
	case Bytes:
		return "bytes"
	case PoolSize:
		return "least-most"
	case bool:
		return "true or false"
	case int:
		return "count"
	case []string:
		return "list"
	}
	if check := f.tags.Get("check"); check != "" {
		return check
	}
	return "word"
}

// limits says in words which values are accepted.
func (f field) limits() string {
	if limits := f.tags.Get("limits"); limits != "" {
		return limits
	}
	if choices := f.tags.Get("oneof"); choices != "" {
		all := strings.Split(choices, ",")
		return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
	}
	if least := f.tags.Get("min"); least != "" {
		limits := least + " to " + f.tags.Get("max")
		if f.tags.Get("step") == "1s" {
			limits += ", whole seconds"
		}
		return limits
	}
	return ""
}

// load fills spec, a pointer to one of this package's structs, and returns
// every fault found.
func load(spec any, environ []string) []error {
	env := newEnvironment(environ)
	faults := env.unknown()
	for _, f := range fieldsOf(spec) {
		if err := f.load(env); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

func (f field) load(env environment) error {
	text, source, err := env.find(f)
	if err != nil {
		return err
	}
	if source == "" {
		if f.required() {
			return missing(f)
		}
		text, source = f.tags.Get("default"), f.name
		if text == "" {
			return nil
		}
	}
	if err := f.set(text); err != nil {
		return fmt.Errorf("%s: %w: for example %s=%s", source, err, f.name, f.example())
	}
	return nil
}

func missing(f field) error {
	return fmt.Errorf("%s: not set: for example %s=%s (or a file: %s%s=/path)", f.name, f.name, f.example(), f.name, fileSuffix)
}

// set converts and checks text. Its errors never hold it.
func (f field) set(text string) error {
	if f.secret {
		var value secret.Value
		if err := value.Decode(text); err != nil {
			return err
		}
		f.value.Set(reflect.ValueOf(value))
	} else if err := convert(f.value, strings.TrimSpace(text)); err != nil {
		return err
	}
	return f.check()
}

// convert gives text to envconfig for one field. envconfig knows only the
// process's environment, stops at its first error and quotes the value in it;
// so the text goes in as the default of a struct of this one field, under a
// name that no variable can have, and its own message is left behind.
func convert(into reflect.Value, text string) error {
	if into.Kind() == reflect.Slice {
		text = trimList(text)
	}
	one := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value", Type: into.Type(), Tag: reflect.StructTag("default:" + strconv.Quote(text)),
	}}))
	if err := envconfig.Process("=", one.Interface()); err != nil {
		return conversionFault(into, err)
	}
	into.Set(one.Elem().Field(0))
	return nil
}

// conversionFault says what was expected, without the value.
func conversionFault(into reflect.Value, err error) error {
	switch into.Type() {
	case reflect.TypeFor[bool]():
		return errors.New("must be true or false")
	case reflect.TypeFor[int]():
		return errors.New("must be a whole number")
	}
	// What is left are this package's own types; their errors hold no value.
	if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
		return parse.Err
	}
	return errors.New("cannot be read")
}

// trimList takes the spaces around the items of a list, and empty items, away.
func trimList(text string) string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return strings.Join(items, ",")
}
