//go:build apiserver

package config_test

import (
	"fmt"
	"strings"
	"testing"
)

// many is a YAML list of n items, each with its number in the format.
func many(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}

	return "[" + strings.Join(items, ", ") + "]"
}

// validations are specs that an Injection and a ClusterInjection judge alike.
func validations(t *testing.T) map[string]validation {
	t.Helper()

	const (
		badLabelKey   = "a label's key must be a name"
		badLabelValue = "a label's value must be empty, or letters"
	)

	return map[string]validation{
		"EveryField": {
			reason: "All that the API offers can be said in one object.",
			spec:   string(read(t, "testdata/every-field.yaml")), bare: true,
		},
		"EverythingAtItsBound": {
			reason: "The API server's budget for our rules is enough for the biggest Injection.",
			spec: "selector: {matchExpressions: " + many(32, "{key: k%d, operator: In, values: [v"+strings.Repeat(", v", 63)+"]}") + "}" +
				"\nenv: " + many(128, "{name: A%d, value: "+strings.Repeat("x", 1000)+", join: {separator: "+strings.Repeat("x", 16)+"}}") +
				"\nenvFrom: " + many(32, "{secretRef: {name: a%d}}") +
				"\nvolumeMounts: " + many(64, "{name: a, mountPath: /a%d, subPath: "+strings.Repeat("b/", 500)+"}") +
				"\nvolumes: " + many(32, "{name: a%d, emptyDir: {}}") +
				"\ninitContainers: " + many(16, "{name: a%d, image: b}") +
				"\nimagePullSecrets: " + many(8, "{name: a%d}") +
				"\nlabels: {" + strings.Trim(many(32, "a%d: b"), "[]") + "}" +
				"\nownerSelector: {include: " + many(16, "{kind: K%d, name: "+strings.Repeat("a", 253)+"}") + ", exclude: " + many(16, "{kind: K%d, name: "+strings.Repeat("a", 253)+"}") + "}" +
				"\nimageSelector: {include: " + many(32, strings.Repeat("a", 500)+"%d") + ", exclude: " + many(32, strings.Repeat("a", 500)+"%d") + "}" +
				"\nannotationSelector: {matchAnnotations: {" + strings.Trim(many(32, "a%d: "+strings.Repeat("b", 1024)), "[]") + "}" +
				", matchExpressions: " + many(32, "{key: k%d, operator: In, values: [v"+strings.Repeat(", v", 63)+"]}") + "}" +
				"\nrequires: " + many(16, "{kind: ConfigMap, name: "+strings.Repeat("a", 250)+"%d, keys: [k"+strings.Repeat(", "+strings.Repeat("k", 253), 15)+"]}") +
				"\nannotations: {" + strings.Trim(many(32, "a%d: b"), "[]") + "}",
		},

		// Something to inject.
		"Nothing": {
			reason: "An Injection that injects nothing is a mistake, and nothing would show it later.",
			spec:   `selector: {}`, bare: true, want: "this injects nothing: set at least one of env, ",
		},
		"EmptyLists": {
			reason: "Empty lists inject nothing either.",
			spec:   `{selector: {}, env: [], volumes: [], labels: {}}`, bare: true, want: "this injects nothing",
		},
		"OnlyEnv":              {reason: "One list will do.", spec: `{selector: {}, env: [{name: A}]}`, bare: true},
		"OnlyEnvFrom":          {reason: "One list will do.", spec: `{selector: {}, envFrom: [{secretRef: {name: a}}]}`, bare: true},
		"OnlyVolumeMounts":     {reason: "The volume may be the pod's.", spec: `{selector: {}, volumeMounts: [{name: a, mountPath: /a}]}`, bare: true},
		"OnlyVolumes":          {reason: "The pod may mount it.", spec: `{selector: {}, volumes: [{name: a, emptyDir: {}}]}`, bare: true},
		"OnlyInitContainers":   {reason: "One list will do.", spec: `{selector: {}, initContainers: [{name: a, image: b}]}`, bare: true},
		"OnlyImagePullSecrets": {reason: "One list will do.", spec: `{selector: {}, imagePullSecrets: [{name: a}]}`, bare: true},
		"OnlyLabels":           {reason: "One map will do.", spec: `{selector: {}, labels: {a: b}}`, bare: true},
		"OnlyAnnotations":      {reason: "One map will do.", spec: `{selector: {}, annotations: {a: b}}`, bare: true},
		"UnknownField": {
			reason: "A typing error must not turn into silence.",
			spec:   `onconflict: Override`, want: `unknown field "spec.onconflict"`,
		},
		"UnknownFieldOfACoreType": {
			reason: "Nor one deep inside.",
			spec:   `env: [{name: A, valuefrom: {}}]`, want: `unknown field "spec.env[0].valuefrom"`,
		},

		// Which pods.
		"NoSelector": {
			reason: "All pods are selected on purpose, with {}, or not at all.",
			spec:   `env: [{name: A}]`, bare: true, want: "spec.selector: Required value",
		},
		"Selector": {
			reason: "All that a selector can say.",
			spec: `selector: {matchLabels: {app: web, example.com/tier: ""}, matchExpressions: [
                {key: a, operator: In, values: [x, "", 1.2-rc_3]}, {key: b, operator: NotIn, values: [x]},
                {key: c, operator: Exists}, {key: example.com/d, operator: DoesNotExist}]}`,
		},
		"SelectorBadKey":           {reason: "No pod can have it.", spec: `selector: {matchLabels: {a b: c}}`, want: badLabelKey},
		"SelectorBadPrefix":        {reason: "No pod can have it.", spec: `selector: {matchLabels: {a_b/c: d}}`, want: badLabelKey},
		"SelectorBadValue":         {reason: "No pod can have it.", spec: `selector: {matchLabels: {a: -b}}`, want: badLabelValue},
		"SelectorLongValue":        {reason: "No pod can have it.", spec: `selector: {matchLabels: {a: ` + strings.Repeat("b", 64) + `}}`, want: "Too long: may not be more than 63"},
		"SelectorBadExpressionKey": {reason: "No pod can have it.", spec: `selector: {matchExpressions: [{key: a/b/c, operator: Exists}]}`, want: badLabelKey},
		"SelectorBadExpressionValue": {
			reason: "No pod can have it.",
			spec:   `selector: {matchExpressions: [{key: a, operator: In, values: [ok, "b c"]}]}`, want: badLabelValue,
		},
		"SelectorBadOperator": {
			reason: "The message says which there are.",
			spec:   `selector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}`, want: `supported values: "In", "NotIn", "Exists", "DoesNotExist"`,
		},
		"SelectorInWithoutValues": {
			reason: "It does not parse.",
			spec:   `selector: {matchExpressions: [{key: a, operator: In}]}`, want: "In and NotIn need values",
		},
		"SelectorNotInWithEmptyValues": {
			reason: "It does not parse.",
			spec:   `selector: {matchExpressions: [{key: a, operator: NotIn, values: []}]}`, want: "In and NotIn need values",
		},
		"SelectorExistsWithValues": {
			reason: "It does not parse.",
			spec:   `selector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}`, want: "Exists and DoesNotExist take none",
		},

		// Which pods, by more than labels.
		"Owners": {
			reason: "Kinds of anybody, with names and parts of names.",
			spec:   `ownerSelector: {include: [{kind: Deployment, name: "check*-out"}, {kind: SparkApplication}, {kind: Job, name: ""}], exclude: [{kind: CronJob, name: a.b}]}`,
		},
		"OwnerNoKind":    {reason: "A name alone is that of anything.", spec: `ownerSelector: {include: [{name: checkout}]}`, want: "spec.ownerSelector.include[0].kind: Required value"},
		"OwnerLowerKind": {reason: "No pod would be chosen.", spec: `ownerSelector: {exclude: [{kind: deployments}]}`, want: "a kind is one word that begins with a capital letter, such as Deployment"},
		"OwnerGroupKind": {reason: "No pod would be chosen.", spec: `ownerSelector: {include: [{kind: apps/v1.Deployment}]}`, want: "a kind is one word"},
		"OwnerBadName":   {reason: "No regular expressions.", spec: `ownerSelector: {include: [{kind: Job, name: "a.+"}]}`, want: "this is no name of a controller: use only a-z, 0-9, -, . and, for any characters, *"},
		"OwnerUnknown":   {reason: "A typing error must not turn into silence.", spec: `ownerSelector: {included: [{kind: Job}]}`, want: `unknown field "spec.ownerSelector.included"`},
		"OwnerTooMany":   {reason: "Rules cost by the item.", spec: `ownerSelector: {include: ` + many(17, "{kind: K%d}") + `}`, want: "spec.ownerSelector.include: Too many: 17: must have at most 16 items"},
		"Images":         {reason: "As pods state them.", spec: `imageSelector: {include: [nginx, "registry.example:5000/*", "*@sha256:*"], exclude: ["*:latest"]}`},
		"ImageEmpty":     {reason: "No container has none.", spec: `imageSelector: {include: [""]}`, want: "an image has no spaces, and is not empty"},
		"ImageSpace":     {reason: "It would never match.", spec: `imageSelector: {exclude: ["nginx redis"]}`, want: "an image has no spaces, and is not empty"},
		"Annotated": {
			reason: "Any text may be a value.",
			spec: `annotationSelector: {matchAnnotations: {Example.com/a: "{b c}", d: ""}, matchExpressions: [{key: a, operator: In, values: ["x y", ""]},
                {key: b, operator: NotIn, values: [x]}, {key: c, operator: Exists}, {key: d, operator: DoesNotExist}]}`,
		},
		"AnnotatedBadKey":      {reason: "No pod can have it.", spec: `annotationSelector: {matchAnnotations: {a b: c}}`, want: "the key of an annotation must be a name such as team"},
		"AnnotatedBadExprKey":  {reason: "No pod can have it.", spec: `annotationSelector: {matchExpressions: [{key: a/b/c, operator: Exists}]}`, want: "the key of an annotation must be a name such as team"},
		"AnnotatedRecord":      {reason: "It changes with the answer.", spec: `annotationSelector: {matchAnnotations: {telltale.dev/injected: x}}`, want: "annotations under telltale.dev/ are Telltale's own records: choose by another"},
		"AnnotatedRecordExpr":  {reason: "It changes with the answer.", spec: `annotationSelector: {matchExpressions: [{key: telltale.dev/failed, operator: Exists}]}`, want: "are Telltale's own records"},
		"AnnotatedBadOperator": {reason: "The message says which there are.", spec: `annotationSelector: {matchExpressions: [{key: a, operator: Like}]}`, want: `supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
		"AnnotatedNoValues":    {reason: "None is in nothing.", spec: `annotationSelector: {matchExpressions: [{key: a, operator: In}]}`, want: "In and NotIn need values"},
		"AnnotatedValues":      {reason: "They would not count.", spec: `annotationSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}`, want: "Exists and DoesNotExist take none"},

		// Objects that must be there.
		"Requires": {
			reason: "Objects with keys and without, and all that it names.",
			spec:   `requires: [{kind: ConfigMap, name: corp-ca, keys: [ca.crt, _A-b.c]}, {kind: Secret, name: a.b, keys: []}, {kind: References}]`,
		},
		"RequiresNoKind":  {reason: "A ConfigMap or a Secret?", spec: `requires: [{name: corp-ca}]`, want: "spec.requires[0].kind: Required value"},
		"RequiresOther":   {reason: "The message says which there are.", spec: `requires: [{kind: ServiceAccount, name: a}]`, want: `supported values: "ConfigMap", "Secret", "References"`},
		"RequiresNoName":  {reason: "Which ConfigMap?", spec: `requires: [{kind: ConfigMap}]`, want: "name the ConfigMap that is required: a-z, 0-9, - and ."},
		"RequiresBadName": {reason: "There can be none.", spec: `requires: [{kind: Secret, name: A_b}]`, want: "name the Secret that is required: a-z, 0-9, - and ."},
		"RequiresKeys":    {reason: "They are named where it names the objects.", spec: `requires: [{kind: References, keys: [a]}]`, want: "it takes no name and no keys"},
		"RequiresNamed":   {reason: "It is no object.", spec: `requires: [{kind: References, name: a}]`, want: "References stands for all that this Injection names"},
		"RequiresBadKey":  {reason: "No ConfigMap can have it.", spec: `requires: [{kind: ConfigMap, name: a, keys: [a/b]}]`, want: "a key of a ConfigMap or Secret has only letters, digits, -, _ and ."},
		"RequiresMany":    {reason: "Rules cost by the item.", spec: `requires: ` + many(17, "{kind: ConfigMap, name: a%d}"), want: "spec.requires: Too many: 17: must have at most 16 items"},
		"RequiresUnknown": {reason: "A typing error must not turn into silence.", spec: `requires: [{kind: ConfigMap, name: a, key: b}]`, want: `unknown field "spec.requires[0].key"`},

		// Which containers.
		"Globs": {reason: "A name, parts of one, any.", spec: `containers: {include: [app, web-*, "*"], exclude: [istio-proxy]}`},
		"BadInclude": {
			reason: "No container can have this name.",
			spec:   `containers: {include: [App]}`, want: "this is no container name: use only a-z, 0-9, - and, for any characters, *",
		},
		"BadExclude":   {reason: "No regular expressions.", spec: `containers: {exclude: ["istio.+"]}`, want: "this is no container name"},
		"EmptyInclude": {reason: "No container has an empty name.", spec: `containers: {include: [""]}`, want: "this is no container name"},

		// Policies.
		"BadPlacement":  {reason: "The message says which there are.", spec: `placement: {env: Middle}`, want: `supported values: "First", "Last"`},
		"BadOnConflict": {reason: "The message says which there are.", spec: `onConflict: Overwrite`, want: `supported values: "Skip", "KeepPod", "Override"`},
		"OnConflictFor": {reason: "Each kind that can be in conflict.", spec: `onConflictFor: {env: Override, volumeMounts: Skip, initContainers: KeepPod, labels: Skip, annotations: KeepPod}`},
		"OnConflictForOther": {
			reason: "The message says which there are.", spec: `onConflictFor: {env: Overwrite}`, want: `spec.onConflictFor.env: Unsupported value: "Overwrite": supported values: "Skip", "KeepPod", "Override"`,
		},
		"OnConflictForVolumes": {reason: "A volume's name is plumbing: no policy may change whose it is.", spec: `onConflictFor: {volumes: Override}`, want: `unknown field "spec.onConflictFor.volumes"`},
		"OnConflictMap":        {reason: "The plain word is for all kinds.", spec: `onConflict: {env: Override}`, want: `unknown field "spec.onConflict.env"`},
		"BadOnFailure":         {reason: "The message says which there are.", spec: `onFailure: Fail`, want: `supported values: "Admit", "Deny"`},

		// Env vars.
		"EnvNames":       {reason: "Shells, Java and .NET use such names.", spec: `env: [{name: _A1}, {name: a.b-c}, {name: .x}]`},
		"EnvNameSpace":   {reason: "No program could read it.", spec: `env: [{name: A B}]`, want: "an env var's name must be letters, digits"},
		"EnvNameDigit":   {reason: "No program could read it.", spec: `env: [{name: 1A}]`, want: "not begin with a digit"},
		"EnvNameEquals":  {reason: "It would be cut there.", spec: `env: [{name: A=B}]`, want: "an env var's name must be letters, digits"},
		"EnvNameEmpty":   {reason: "It would be no variable.", spec: `env: [{name: ""}]`, want: "an env var's name must be letters, digits"},
		"EnvNameMissing": {reason: "It would be no variable.", spec: `env: [{value: a}]`, want: "spec.env[0].name: Required value"},
		"EnvDuplicate":   {reason: "Which of them should win?", spec: `env: [{name: A, value: x}, {name: A, value: "y"}]`, want: `spec.env[1]: Duplicate value: {"name":"A"}`},
		"EnvEmptyValueAndValueFrom": {
			reason: "As core/v1 has it, an empty value is none.",
			spec:   `env: [{name: A, value: "", valueFrom: {fieldRef: {fieldPath: metadata.name}}}]`,
		},
		"EnvValueAndValueFrom": {
			reason: "Which of them should win?",
			spec:   `env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]`,
			want:   "env var A has both value and valueFrom: remove one of them",
		},
		"EnvNoSource": {reason: "A value from nowhere.", spec: `env: [{name: A, valueFrom: {}}]`, want: "spec.env[0].valueFrom: Invalid value: name one source"},
		"EnvTwoSources": {
			reason: "Which of them should win?",
			spec:   `env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}}]`,
			want:   "spec.env[0].valueFrom: Invalid value: name one source",
		},
		"EnvSelfReference": {
			reason: "It would be empty, or end the app.", spec: `env: [{name: A, value: "$(A) x"}]`,
			want: "the value of A refers to itself: to add to a value that is there, leave the reference out and use join",
		},
		"EnvSelfReferenceJoined": {
			reason: "Nor with join.", spec: `env: [{name: A, value: "x $(A)", join: {separator: " "}}]`, want: "the value of A refers to itself",
		},
		"EnvEscapedReference": {reason: "An escaped one is text, and others are no references to itself.", spec: `env: [{name: A, value: "$$(A) $(AA) $(B)"}]`},
		"EnvJoin":             {reason: "All of it.", spec: `env: [{name: A, value: a, join: {separator: ", ", first: true, unique: true}}]`},
		"EnvJoinNoSeparator":  {reason: "Two values would be one word.", spec: `env: [{name: A, value: a, join: {}}]`, want: "spec.env[0].join.separator: Required value"},
		"EnvJoinEmpty":        {reason: "Two values would be one word.", spec: `env: [{name: A, value: a, join: {separator: ""}}]`, want: "spec.env[0].join.separator: Invalid value"},
		"EnvJoinNoValue":      {reason: "There is nothing to join.", spec: `env: [{name: A, join: {separator: " "}}]`, want: "join needs a value: A has none"},
		"EnvJoinSource": {
			reason: "A source can't be joined to anything.", spec: `env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}, join: {separator: " "}}]`,
			want: "join needs a value: A has none",
		},

		"Mode":       {reason: "Each of them.", spec: `mode: Preview`},
		"ModePaused": {reason: "Each of them.", spec: `mode: Paused`},
		"ModeActive": {reason: "Each of them.", spec: `mode: Active`},
		"ModeOther":  {reason: "The message says which there are.", spec: `mode: "Off"`, want: `spec.mode: Unsupported value: "Off": supported values: "Active", "Preview", "Paused"`},

		"EnvTooMany": {reason: "Rules cost by the item.", spec: `env: ` + many(129, "{name: A%d}"), want: "spec.env: Too many: 129: must have at most 128 items"},
		"EnvMost":    {reason: "The bound itself is in.", spec: `env: ` + many(128, "{name: A%d}")},

		"EnvFromNoSource":   {reason: "Variables from nowhere.", spec: `envFrom: [{prefix: A_}]`, want: "name one source: configMapRef or secretRef"},
		"EnvFromTwoSources": {reason: "It is one or the other.", spec: `envFrom: [{configMapRef: {name: a}, secretRef: {name: a}}]`, want: "name one source: configMapRef or secretRef"},
		"EnvFromNoName":     {reason: "Which Secret?", spec: `envFrom: [{secretRef: {}}]`, want: "name the ConfigMap or Secret"},
		"EnvFromBadPrefix":  {reason: "All its variables would be bad.", spec: `envFrom: [{prefix: "A B", secretRef: {name: a}}]`, want: "the prefix must be letters, digits"},
		"EnvFromTwice":      {reason: "The same prefix with another Secret is normal.", spec: `envFrom: [{secretRef: {name: a}}, {secretRef: {name: b}}]`},

		// Volumes and mounts.
		"MountWithoutPath":  {reason: "Mounted where?", spec: `volumeMounts: [{name: a}]`, want: "spec.volumeMounts[0].mountPath: Required value"},
		"MountEmptyPath":    {reason: "Mounted where?", spec: `volumeMounts: [{name: a, mountPath: ""}]`, want: "the mount of volume a needs a mountPath"},
		"MountColon":        {reason: "Container runtimes take it for a separator.", spec: `volumeMounts: [{name: a, mountPath: "/a:b"}]`, want: "needs a mountPath, without a colon"},
		"MountOfNoVolume":   {reason: "A mount of what?", spec: `volumeMounts: [{name: "", mountPath: /a}]`, want: "the mount at /a needs the name of a volume"},
		"MountDuplicate":    {reason: "One of them would hide the other.", spec: `volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /a}]`, want: `spec.volumeMounts[1]: Duplicate value`},
		"MountTwice":        {reason: "One volume may be mounted in two places.", spec: `volumeMounts: [{name: a, mountPath: /a}, {name: a, mountPath: /b}]`},
		"MountTwoSubPaths":  {reason: "It is one or the other.", spec: `volumeMounts: [{name: a, mountPath: /a, subPath: b, subPathExpr: c}]`, want: "has both subPath and subPathExpr"},
		"MountSubPath":      {reason: "Dots alone do no harm.", spec: `volumeMounts: [{name: a, mountPath: /a, subPath: b/..c/d..}]`},
		"MountSubPathUp":    {reason: "It would leave the volume.", spec: `volumeMounts: [{name: a, mountPath: /a, subPath: b/../c}]`, want: "the subPath of the mount at /a must be relative, without .."},
		"MountSubPathRoot":  {reason: "It would leave the volume.", spec: `volumeMounts: [{name: a, mountPath: /a, subPath: /b}]`, want: "the subPath of the mount at /a must be relative"},
		"MountSubPathExpr":  {reason: "It would leave the volume.", spec: `volumeMounts: [{name: a, mountPath: /a, subPathExpr: ../$(A)}]`, want: "the subPathExpr of the mount at /a must be relative"},
		"MountPropagation":  {reason: "The message says which there are.", spec: `volumeMounts: [{name: a, mountPath: /a, mountPropagation: Both}]`, want: `supported values: "None", "HostToContainer", "Bidirectional"`},
		"VolumeBadName":     {reason: "No pod can have it.", spec: `volumes: [{name: a.b, emptyDir: {}}]`, want: "a volume's name must be a-z, 0-9 and -"},
		"VolumeLongName":    {reason: "No pod can have it.", spec: `volumes: [{name: ` + strings.Repeat("a", 64) + `, emptyDir: {}}]`, want: "spec.volumes[0].name: Too long"},
		"VolumeNoSource":    {reason: "It would be an emptyDir, mostly by mistake.", spec: `volumes: [{name: a}]`, want: "a volume needs one source, such as emptyDir: {}"},
		"VolumeTwoSources":  {reason: "Which of them?", spec: `volumes: [{name: a, emptyDir: {}, secret: {secretName: b}}]`, want: "a volume needs one source"},
		"VolumeDuplicate":   {reason: "Which of them?", spec: `volumes: [{name: a, emptyDir: {}}, {name: a, secret: {secretName: b}}]`, want: "spec.volumes[1]: Duplicate value"},
		"VolumeOtherSource": {reason: "Any source that a pod may have.", spec: `volumes: [{name: a, csi: {driver: x}}, {name: b, projected: {sources: []}}]`},

		// Init containers.
		"InitContainerBadName":   {reason: "No pod can have it.", spec: `initContainers: [{name: Wait, image: a}]`, want: "an init container's name must be a-z, 0-9 and -"},
		"InitContainerNoImage":   {reason: "It could not start.", spec: `initContainers: [{name: wait}]`, want: "init container wait needs an image"},
		"InitContainerEmpty":     {reason: "It could not start.", spec: `initContainers: [{name: wait, image: ""}]`, want: "init container wait needs an image"},
		"InitContainerDuplicate": {reason: "Which of them?", spec: `initContainers: [{name: a, image: b}, {name: a, image: c}]`, want: "spec.initContainers[1]: Duplicate value"},

		// The rest.
		"PullSecretNoName":      {reason: "Which Secret?", spec: `imagePullSecrets: [{}]`, want: "name the Secret"},
		"PullSecretDuplicate":   {reason: "Once is enough.", spec: `imagePullSecrets: [{name: a}, {name: a}]`, want: "spec.imagePullSecrets[1]: Duplicate value"},
		"LabelBadKey":           {reason: "No pod can have it.", spec: `labels: {a b: c}`, want: "the key of a label must be a name such as team"},
		"LabelBadValue":         {reason: "No pod can have it.", spec: `labels: {a: b c}`, want: badLabelValue},
		"LabelReserved":         {reason: "It could opt out the pod that it is added to.", spec: `labels: {telltale.dev/inject: disabled}`, want: "telltale.dev/ is Telltale's own prefix"},
		"AnnotationBadKey":      {reason: "No pod can have it.", spec: `annotations: {a b: c}`, want: "the key of an annotation must be a name such as team"},
		"AnnotationUpperPrefix": {reason: "A pod's may, and any value.", spec: `annotations: {Example.com/a: "{b c}"}`},
		"AnnotationReserved":    {reason: "It is Telltale's own record.", spec: `annotations: {telltale.dev/injected: x}`, want: "telltale.dev/ is Telltale's own prefix"},
	}
}

// namespaceSelectors are specs of a ClusterInjection alone.
func namespaceSelectors() map[string]validation {
	return map[string]validation{
		"NamespaceSelector": {
			reason: "Namespaces by name.",
			spec:   `namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [shop]}]}`,
		},
		"NamespaceSelectorEmpty": {reason: "All namespaces, as without it.", spec: `namespaceSelector: {}`},
		"NamespaceSelectorBadKey": {
			reason: "It has the rules of selector.",
			spec:   `namespaceSelector: {matchLabels: {a b: c}}`,
			want:   "spec.namespaceSelector.matchLabels: Invalid value: a label's key must be a name",
		},
		"NamespaceSelectorBadOperator": {
			reason: "It has the rules of selector.",
			spec:   `namespaceSelector: {matchExpressions: [{key: a, operator: Equals}]}`,
			want:   "spec.namespaceSelector.matchExpressions[0].operator: Unsupported value",
		},
	}
}
