package patches

import "github.com/telltale-dev/telltale/patches/internal/edit"

// HasLabels tells whether the Injection adds labels.
func (in *Injection) HasLabels() bool { return len(in.items[edit.Label]) > 0 }

// InitContainers returns the names of the init containers that the Injection adds.
func (in *Injection) InitContainers() []string {
	names := make([]string, len(in.items[edit.InitContainer]))
	for i := range names {
		names[i] = in.items[edit.InitContainer][i].Key
	}

	return names
}
