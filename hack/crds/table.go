package main

// Formats that the rules describe.
const (
	labelKey   = "a label's key must be a name such as app, or prefix/name such as example.com/app"
	labelValue = "a label's value must be empty, or letters, digits, -, _ and . that begin and end with a letter or digit"
)

// ownTypes are the places below spec of our own types that are deeper than two levels.
var ownTypes = [...]string{ //nolint:gochecknoglobals // a constant
	"env[].join", "ownerSelector.include[]", "ownerSelector.exclude[]", "annotationSelector.matchExpressions[]",
}

// constraints is the table of additions to the schemas of core types, along
// paths below spec. Without the bounds, the API server refuses our CEL rules as
// too costly. The bounds are those of Kubernetes, or generous.
func constraints(selectors []string) []constraint {
	table := []constraint{
		describe("env[].name", "Name of the environment variable: letters, digits, -, _ and ., not beginning with a digit."),
		bound("env[].name", "maxLength", 253),
		bound("env[].value", "maxLength", 128*1024), // Linux's limit of one variable
		exactlyOne("env[].valueFrom", "name one source of the value: fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef or fileKeyRef"),
		bound("env[].valueFrom.configMapKeyRef.name", "maxLength", 253),
		bound("env[].valueFrom.secretKeyRef.name", "maxLength", 253),

		bound("envFrom[].prefix", "maxLength", 253),
		bound("envFrom[].configMapRef.name", "maxLength", 253),
		bound("envFrom[].secretRef.name", "maxLength", 253),
		exactlyOne("envFrom[]", "name one source: configMapRef or secretRef", "prefix"),

		bound("volumeMounts[].name", "maxLength", 63),
		bound("volumeMounts[].mountPath", "maxLength", 4096),
		bound("volumeMounts[].subPath", "maxLength", 4096),
		bound("volumeMounts[].subPathExpr", "maxLength", 4096),
		oneOf("volumeMounts[].mountPropagation", "None", "HostToContainer", "Bidirectional"),

		bound("volumes[].name", "maxLength", 63),
		exactlyOne("volumes[]", "a volume needs one source, such as emptyDir: {} or a configMap", "name"),

		bound("initContainers[].name", "maxLength", 63),
		bound("initContainers[].image", "maxLength", 1024),
		bound("imagePullSecrets[].name", "maxLength", 253),
		bound("labels{}", "maxLength", 63),
		bound("annotationSelector.matchAnnotations{}", "maxLength", 1024),
	}
	for _, s := range selectors {
		table = append(table, selector(s)...)
	}

	return table
}

// selector is the part of the table for a metav1.LabelSelector.
func selector(path string) []constraint {
	var (
		labels       = path + ".matchLabels"
		requirements = path + ".matchExpressions"
	)

	return []constraint{
		bound(labels, "maxProperties", 32),
		bound(labels+"{}", "maxLength", 63),
		rule(labels, "self.all(k, !format.qualifiedName().validate(k).hasValue())", labelKey),
		rule(labels+"{}", "!format.labelValue().validate(self).hasValue()", labelValue),

		bound(requirements, "maxItems", 32),
		bound(requirements+"[].key", "maxLength", 317),
		rule(requirements+"[].key", "!format.qualifiedName().validate(self).hasValue()", labelKey),
		oneOf(requirements+"[].operator", "In", "NotIn", "Exists", "DoesNotExist"),
		rule(requirements+"[]", "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
			"In and NotIn need values, Exists and DoesNotExist take none"),
		bound(requirements+"[].values", "maxItems", 64),
		bound(requirements+"[].values[]", "maxLength", 63),
		rule(requirements+"[].values[]", "!format.labelValue().validate(self).hasValue()", labelValue),
	}
}
