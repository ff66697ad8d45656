package property

import "github.com/telltale-dev/telltale/patches/v1alpha1"

// joined has some variables of an Injection join their values.
func (d dice) joined(env []v1alpha1.EnvVar) []v1alpha1.EnvVar {
	for i := range env {
		if env[i].Value != "" && d.chance(30) {
			env[i].Join = &v1alpha1.Join{Separator: pick(d, ",", ",", ",", ", ", "/"), First: d.chance(30), Unique: d.chance(40)}
		}
	}

	return env
}
