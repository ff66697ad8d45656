package property

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// newField is a field that our libraries have and that the API server under
// test, a release older, does not have or drops, as its feature is off there.
type newField struct {
	in   reflect.Type
	name string
	// value draws one. It is nil where others draw the field.
	value func(dice) any
}

// newFields lists those that a pod has.
//
// Source: types.go of k8s.io/api v0.36.3 and v0.37.2; dropDisabledFields in
// k8s.io/kubernetes v1.36.3 pkg/api/pod/util.go.
func newFields() []newField {
	user := func(d dice) any { return new(pick(d, int64(0), 1000)) }

	return []newField{
		{reflect.TypeFor[corev1.VolumeMount](), "BindMountOptions", func(d dice) any { return []string{pick(d, "noexec", "nodev")} }},
		{reflect.TypeFor[corev1.EmptyDirVolumeSource](), "Mode", func(d dice) any { return new(pick(d, int32(0o700), 0o1777)) }},
		{reflect.TypeFor[corev1.ConfigMapVolumeSource](), "DefaultUser", user},
		{reflect.TypeFor[corev1.SecretVolumeSource](), "DefaultUser", user},
		{reflect.TypeFor[corev1.DownwardAPIVolumeSource](), "DefaultUser", user},
		{reflect.TypeFor[corev1.ProjectedVolumeSource](), "DefaultUser", user},
		{reflect.TypeFor[corev1.KeyToPath](), "User", user},
		{reflect.TypeFor[corev1.DownwardAPIVolumeFile](), "User", user},
		{reflect.TypeFor[corev1.ServiceAccountTokenProjection](), "User", user},
		{reflect.TypeFor[corev1.ClusterTrustBundleProjection](), "User", user},
		{reflect.TypeFor[corev1.PodCertificateProjection](), "User", user},
		{reflect.TypeFor[corev1.VolumeProjection](), "ClusterTrustBundle", nil},
		{reflect.TypeFor[corev1.VolumeProjection](), "PodCertificate", nil},
		{reflect.TypeFor[corev1.HTTPGetAction](), "Protocol", func(d dice) any { return new(pick(d, corev1.HTTPProtocolHTTP1, corev1.HTTPProtocolHTTP2)) }},
		{reflect.TypeFor[corev1.GRPCAction](), "Mode", func(d dice) any { return new(pick(d, corev1.GRPCProbeModePlaintext, corev1.GRPCProbeModeTLS)) }},
		{reflect.TypeFor[corev1.Lifecycle](), "StopSignal", func(d dice) any { return new(pick(d, corev1.SIGTERM, corev1.SIGUSR1)) }},
		{reflect.TypeFor[corev1.PodSpec](), "EvictionResponders", func(dice) any {
			return []corev1.EvictionResponder{{Name: "example.com/drain", Priority: new(int32(1))}}
		}},
		{reflect.TypeFor[corev1.PodSpec](), "SchedulingGroup", func(dice) any { return &corev1.PodSchedulingGroup{PodGroupName: new("group")} }},
	}
}

// mayBeNewer tells whether a field may be new. The API server drops such fields
// of a pod as they came, so that all is well; of an Injection they are lost.
func (d dice) mayBeNewer() bool { return !d.inject || d.draws.has(newer) }

// addNew sets new fields, in places that are there.
func (d dice) addNew(object any) {
	without := 85
	if d.inject {
		without = 90 // the API server drops the field, and the Injection fails on every pod
	}

	if !d.mayBeNewer() || d.chance(without) {
		return
	}

	fields := newFields()

	walk(reflect.ValueOf(object), func(v reflect.Value) {
		for _, f := range fields {
			if f.in == v.Type() && f.value != nil && d.chance(30) {
				v.FieldByName(f.name).Set(reflect.ValueOf(f.value(d)))
			}
		}
	})
}

// takeNew takes all new fields away.
func takeNew(object any) {
	fields := newFields()

	walk(reflect.ValueOf(object), func(v reflect.Value) {
		for _, f := range fields {
			if f.in == v.Type() {
				v.FieldByName(f.name).SetZero()
			}
		}
	})
}

// walk visits the structs that something points to, the outermost first.
func walk(v reflect.Value, visit func(reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Struct:
		visit(v)

		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walk(v.Field(i), visit)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	default: // values
	}
}
