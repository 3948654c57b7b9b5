package seeds

import (
	"reflect"
	"testing"
	"unsafe"
)

// hidden returns a test that is like t, but whose failures and messages nobody sees: for runs that are only to find out
// whether they fail. Package testing has no such thing, so this one is put together from its fields. Where these
// are not what they were when this was written it returns t, and the messages of all failing runs are printed.
func hidden(t *testing.T) (h *testing.T) {
	defer func() {
		if v := recover(); v != nil {
			println("HIDDEN", v.(error).Error())
			h = t
		}
	}()
	h = new(testing.T)
	common := field(reflect.ValueOf(h).Elem(), "common")
	output := reflect.New(common.FieldByName("o").Type().Elem()) // a writer into common
	field(output.Elem(), "c").Set(common.Addr())
	field(common, "o").Set(output)
	field(common, "name").SetString(t.Name())
	field(common, "level").SetInt(1)
	return h
}

// field returns a field that may be set, although it is not exported.
func field(of reflect.Value, name string) reflect.Value {
	f := of.FieldByName(name)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}
