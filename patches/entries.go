package patches

import "strings"

// maxRecord is the most that one of our two annotations has, in bytes. A longer
// one is cut after a whole entry and ends in ",...".
const maxRecord = 16 << 10

// join makes one text of the entries of a record.
func join(entries []string) string {
	n := 0
	for i, e := range entries {
		if n += len(e) + 1; n > maxRecord {
			return strings.Join(append(entries[:i:i], "..."), ",")
		}
	}

	return strings.Join(entries, ",")
}
