package patches

import (
	"strconv"
	"strings"
)

// builder writes a JSON patch (RFC 6902).
type builder struct{ buf []byte }

// op appends one operation. The path is a JSON pointer (RFC 6901).
func (b *builder) op(op, path string, value []byte) {
	if len(b.buf) == 0 {
		b.buf = append(make([]byte, 0, 1<<10), '[') // what most patches have room in
	} else {
		b.buf = append(b.buf, ',')
	}

	b.buf = append(b.buf, `{"op":"`...)
	b.buf = append(b.buf, op...)
	b.buf = append(b.buf, `","path":`...)
	b.buf = append(b.buf, encode(path)...)

	if value != nil {
		b.buf = append(b.buf, `,"value":`...)
		b.buf = append(b.buf, value...)
	}

	b.buf = append(b.buf, '}')
}

// patch returns the patch, or nil if nothing is to be changed.
func (b *builder) patch() []byte {
	if len(b.buf) == 0 {
		return nil
	}

	return append(b.buf, ']')
}

// pathOf is the JSON pointer of an element: by its index in an array, by its
// key in a map.
func (l *list) pathOf(i int, key string) string {
	if l.kind.isMap() {
		return l.path() + "/" + escape(key)
	}

	return l.path() + "/" + strconv.Itoa(i)
}

// escape makes a key one token of a JSON pointer.
func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
