package property

import (
	"fmt"
	"slices"
	"strings"
)

// draw names a part of what can be drawn, so that it can be left out.
type draw string

const (
	files    draw = "files"    // env from a file of a volume
	newer    draw = "newer"    // Injections with fields that the API server does not have, or drops
	quotas   draw = "quotas"   // namespaces with ResourceQuotas
	limits   draw = "limits"   // namespaces with LimitRanges
	security draw = "security" // namespaces with a Pod Security level
	again    draw = "again"    // pods that are made from live ones
)

// allDraws are all of them. All are drawn, unless the flag -draw names some.
const allDraws = "files,newer,quotas,limits,security,again"

// draws are the parts that are drawn.
type draws []draw

func (d draws) has(one draw) bool { return slices.Contains(d, one) }

// parseDraws reads a list with commas.
func parseDraws(list string) (all draws, err error) {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue
		}

		if !slices.Contains(strings.Split(allDraws, ","), name) {
			return nil, fmt.Errorf("%q is none of %s", name, allDraws)
		}

		all = append(all, draw(name))
	}

	return all, nil
}
