package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Errors of settings that are changed at run time.
var (
	// ErrNotChangeable is wrapped where a name is not of a setting that can be
	// changed while the collector runs.
	ErrNotChangeable = errors.New("is no setting that can be changed while running")
	// ErrValue is wrapped where a value is not accepted. The error says which are.
	ErrValue = errors.New("is not accepted")
)

// Changeable returns the settings of the collector that can be changed while it
// runs, in the order of the struct.
func Changeable() []Setting {
	var settings []Setting
	for _, f := range fieldsOf(&Collector{}) {
		if f.changeable() {
			s := f.describe()
			s.Programs = []string{"collector"}
			settings = append(settings, s)
		}
	}
	return settings
}

func (f field) changeable() bool { return f.tags.Get("runtime") == "true" }

// ChangeableName gives the full name of such a setting; name may lack the
// prefix and be in small letters. The error wraps ErrNotChangeable.
func ChangeableName(name string) (string, error) {
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, prefix) {
		full = prefix + full
	}
	for _, s := range Changeable() {
		if s.Name == full {
			return full, nil
		}
	}
	return "", fmt.Errorf("%q %w: %s", name, ErrNotChangeable, strings.Join(changeableNames(), ", "))
}

func changeableNames() []string {
	all := Changeable()
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return names
}

// CheckChange applies the rules of a setting to a value for it, and gives it as
// it is stored. The error wraps ErrNotChangeable or ErrValue.
func CheckChange(name, value string) (string, error) {
	value = strings.TrimSpace(value)
	for _, f := range fieldsOf(&Collector{}) {
		if f.name != name || !f.changeable() {
			continue
		}
		err := errors.New("must not be empty")
		if value != "" {
			err = f.set(value)
		}
		if err != nil {
			return "", fmt.Errorf("%s: the value %w: it %w", name, ErrValue, err)
		}
		return value, nil
	}
	return "", fmt.Errorf("%q %w", name, ErrNotChangeable)
}

// With gives the configuration with values of changeable settings in the place
// of those of the environment. A value that is not accepted is left out, and is
// a fault.
func (c Collector) With(changed map[string]string) (Collector, []error) {
	var faults []error
	for _, f := range fieldsOf(&c) {
		value, there := changed[f.name]
		if !there || !f.changeable() {
			continue
		}
		before := f.value.Interface()
		if err := f.set(value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f.name, err))
			f.value.Set(reflect.ValueOf(before))
		}
	}
	return c, faults
}

// InForce gives the changeable settings of a configuration as text that With
// reads.
func (c Collector) InForce() map[string]string {
	values := make(map[string]string)
	for _, f := range fieldsOf(&c) {
		if f.changeable() {
			values[f.name] = fmt.Sprint(f.value.Interface())
		}
	}
	return values
}

// Effective gives the value of a changeable setting that is in force, and whether
// it is "changed", of the "environment", or the "default", from what is stored;
// nil is nothing.
func (s Setting) Effective(changed, environment *string) (value, source string) {
	switch {
	case changed != nil:
		return *changed, "changed"
	case environment != nil && *environment != "":
		if canonical, err := CheckChange(s.Name, *environment); err == nil && s.same(canonical) {
			return s.Default, "default"
		}
		return *environment, "environment"
	}
	return s.Default, "default"
}

// same reports whether a text stands for the default: 1d for 24h.
func (s Setting) same(text string) bool {
	one, _ := Collector{}.With(map[string]string{s.Name: text})
	other, _ := Collector{}.With(map[string]string{s.Name: s.Default})
	return one.InForce()[s.Name] == other.InForce()[s.Name]
}
