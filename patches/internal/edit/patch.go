package edit

import (
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// patch is a JSON patch that is being written.
type patch struct{ buf []byte }

// op appends one operation.
func (p *patch) op(op string, path jsontext.Pointer, value []byte) {
	if len(p.buf) == 0 {
		p.buf = append(make([]byte, 0, 1<<10), '[') // most patches fit
	} else {
		p.buf = append(p.buf, ',')
	}

	p.buf = append(p.buf, `{"op":"`...)
	p.buf = append(p.buf, op...)
	p.buf = append(p.buf, `","path":`...)
	p.buf = append(p.buf, Encode(string(path))...)

	if value != nil {
		p.buf = append(p.buf, `,"value":`...)
		p.buf = append(p.buf, value...)
	}

	p.buf = append(p.buf, '}')
}

// end returns the patch, or nil if it has no operation.
func (p *patch) end() []byte {
	if len(p.buf) == 0 {
		return nil
	}

	return append(p.buf, ']')
}

// write appends the operations that turn the pod's list into this one.
func (l *List) write(p *patch) {
	if l.own == 0 {
		l.writeWhole(p)

		return
	}

	for i := range l.own {
		switch a, ok := l.swapped[i]; {
		case ok && a.ValueJSON != nil:
			p.op("add", l.pathOf(i, a.Key)+"/value", a.ValueJSON) // which replaces one that is there
		case ok:
			p.op("replace", l.pathOf(i, a.Key), a.JSON)
		}
	}

	for i, a := range l.first {
		p.op("add", l.pathOf(i, a.Key), a.JSON)
	}

	for i, a := range l.last {
		p.op("add", l.pathOf(len(l.first)+l.own+i, a.Key), a.JSON)
	}
}

// writeWhole writes a list that the pod lacks, or has as null or empty: an
// operation on one element of it might not apply.
func (l *List) writeWhole(p *patch) {
	if len(l.first)+len(l.last) == 0 {
		return
	}

	value := []byte{'['}
	if l.Kind.isMap() {
		value[0] = '{'
	}

	for _, additions := range [][]Addition{l.first, l.last} {
		for _, a := range additions {
			if len(value) > 1 {
				value = append(value, ',')
			}

			if l.Kind.isMap() {
				value = append(append(value, Encode(a.Key)...), ':')
			}

			value = append(value, a.JSON...)
		}
	}

	p.op("add", l.path(), append(value, value[0]+2)) // ']' and '}' follow '[' and '{' by two
}

// path is the JSON pointer of the list.
func (l *List) path() jsontext.Pointer { return jsontext.Pointer(l.parent + l.Kind.Field()) }

// pathOf is the JSON pointer of an element: by its index in an array, by its
// key in a map.
func (l *List) pathOf(i int, key string) jsontext.Pointer {
	if l.Kind.isMap() {
		return l.path().AppendToken(key)
	}

	return l.path() + jsontext.Pointer("/"+strconv.Itoa(i))
}

// Encode writes a value as JSON. It never fails: the values come out of the API
// server as JSON.
func Encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}

	return b
}
