package guard

import (
	"errors"
	"strings"
	"testing"
)

func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	list := []int{}
	n, err := Call(func() (int, error) { return list[3], nil })
	panicked, ok := errors.AsType[*PanicError](err)
	if n != 0 || !ok || !strings.Contains(err.Error(), "index out of range") || !strings.Contains(string(panicked.Stack), "TestAPanicIsAnError") {
		t.Errorf("%d, %v", n, err)
	}
	broken := errors.New("broken")
	if err := Run(func() error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if n, err := Call(func() (int, error) { return 4, nil }); n != 4 || err != nil {
		t.Error(n, err)
	}
}
