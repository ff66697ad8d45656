package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that pods and namespaces carry.
const (
	// InjectLabel opts a pod, or all pods of a namespace, out of every
	// Injection when it has the value Disabled.
	InjectLabel = "telltale.dev/inject"
	// Disabled is the value of InjectLabel that opts out.
	Disabled = "disabled"
	// InjectedAnnotation lists, on a pod, the Injections that were applied, each
	// with its revision: "proxy@5f3c9a1b,cluster/corp-ca@77d0e2c4". ParseRecord
	// reads it.
	InjectedAnnotation = "telltale.dev/injected"
	// FailedAnnotation lists, on a pod, the Injections that were not, each with
	// the reason as well: "proxy@5f3c9a1b=InjectionConflict". ParseRecord reads
	// it.
	FailedAnnotation = "telltale.dev/failed"
	// ContainersAnnotation lists, on a pod, the containers that env, envFrom or mounts
	// of an Injection went to: "app,worker". Others came later.
	ContainersAnnotation = "telltale.dev/containers"
	// RetryAnnotation ends, on an Injection or a ClusterInjection, the withdrawals that
	// began up to a time: "2026-11-26T12:00:00Z". AskRetry writes it, RetryAsked reads
	// it. It may stay: it does not end withdrawals that begin later.
	RetryAnnotation = "telltale.dev/retry"
	// PreviewedAnnotation lists, on a pod, the Injections with mode: Preview that
	// would have been applied, and, with the reason, those that would have failed:
	// "proxy@5f3c9a1b,mesh@77d0e2c4=InjectionConflict". ParseRecord reads it.
	PreviewedAnnotation = "telltale.dev/previewed"
	// JoinedAnnotation lists, on a pod, the env vars to which values were joined:
	// where in the value the part stands that was there before, in bytes, and a hash
	// of the value: "app/NO_PROXY=0+14#5f3c9a1b". It is absent on most pods.
	JoinedAnnotation = "telltale.dev/joined"
)

// The types of conditions. They follow kstatus: an Injection that can't be used
// is not Ready, and Stalled until it is edited.
const (
	// ReadyCondition says whether an Injection is in force.
	ReadyCondition = "Ready"
	// StalledCondition is True where an Injection can't be used as it is, and
	// else not there.
	StalledCondition = "Stalled"
	// WithdrawnCondition is True where all pods start without an Injection, as
	// many that had it were refused, and else not there.
	WithdrawnCondition = "Withdrawn"
	// AuditedCondition is False while Telltale runs without its audit of pods, and
	// absent otherwise.
	AuditedCondition = "Audited"
)

// Placements says where in the pod's lists additions go.
type Placements struct {
	// Where env and envFrom go: First (default), so that the containers' own
	// variables can refer to them as $(NAME), and so that the containers' own
	// envFrom wins; or Last, so that they can refer to the containers' own.
	//
	// +optional
	// +kubebuilder:default=First
	Env Placement `json:"env,omitempty"`

	// Where initContainers go: First (default), so that they are done before
	// the pod's own init containers start; or Last.
	//
	// +optional
	// +kubebuilder:default=First
	InitContainers Placement `json:"initContainers,omitempty"`
}

// InjectionSpec says which pods get what.
//
// +kubebuilder:validation:XValidation:rule="[has(self.env) && self.env.size() > 0, has(self.envFrom) && self.envFrom.size() > 0, has(self.volumeMounts) && self.volumeMounts.size() > 0, has(self.volumes) && self.volumes.size() > 0, has(self.initContainers) && self.initContainers.size() > 0, has(self.imagePullSecrets) && self.imagePullSecrets.size() > 0, has(self.labels) && self.labels.size() > 0, has(self.annotations) && self.annotations.size() > 0].exists(x, x)",message="this injects nothing: set at least one of env, envFrom, volumeMounts, volumes, initContainers, imagePullSecrets, labels or annotations"
type InjectionSpec struct {
	// Which pods, by their labels: matchLabels: {app: checkout}, say. {} selects
	// every pod of the namespace (of the selected namespaces, for a
	// ClusterInjection). Pods and namespaces labelled telltale.dev/inject:
	// disabled are never touched, nor are pods that exist already. If there are more
	// selectors, a pod must meet all.
	Selector *metav1.LabelSelector `json:"selector"`

	// Which of these pods, by their controllers: include: [{kind: Deployment, name:
	// "checkout-*"}], say. Default: all. The name of a Deployment is that of the pod's
	// ReplicaSet without the pod's label pod-template-hash; the name of a CronJob is
	// that of its Job without the time, which is the last 8 digits.
	//
	// +optional
	OwnerSelector *OwnerSelector `json:"ownerSelector,omitempty"`

	// Which of these pods, by the images of their app containers: include:
	// ["registry.example/payments/*"], say. Default: all.
	//
	// +optional
	ImageSelector *ImageSelector `json:"imageSelector,omitempty"`

	// Which of these pods, by the annotations that they are created with. Default: all.
	//
	// +optional
	AnnotationSelector *AnnotationSelector `json:"annotationSelector,omitempty"`

	// ConfigMaps and Secrets that must be in the pod's namespace: [{kind: ConfigMap,
	// name: corp-ca, keys: [ca.crt]}], say, or [{kind: References}] for all that this
	// Injection itself names. If one is not there, a new pod starts without this
	// Injection, and the failure InjectionUnmet says so; without requires, it would wait
	// for the object. Secrets are looked at only if Telltale may list them; else they
	// count as there, and Ready says so. Default: none.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:XValidation:rule="self.kind == 'References' || has(self.name) && !format.dns1123Subdomain().validate(self.name).hasValue()",messageExpression="'name the ' + self.kind + ' that is required: a-z, 0-9, - and .'"
	// +kubebuilder:validation:items:XValidation:rule="self.kind != 'References' || !has(self.name) && !has(self.keys)",message="References stands for all that this Injection names: it takes no name and no keys"
	Requires []Requirement `json:"requires,omitempty"`

	// When several Injections select a pod, low orders are applied first; of
	// the same order, ClusterInjections before Injections; then by name.
	// Default: 0.
	//
	// +optional
	// +kubebuilder:default=0
	Order int32 `json:"order,omitempty"`

	// Which of the pod's containers get env, envFrom and volumeMounts.
	// Default: all app containers.
	//
	// +optional
	Containers Containers `json:"containers,omitempty,omitzero"`

	// Environment variables to add to the containers, each with a value or with
	// valueFrom. Like all env of a container, they hide variables of their name
	// that come from its envFrom or from its image (ENV). Telltale can't see
	// these, so it is no conflict, and join does not reach them.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:XValidation:rule="self.name.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",message="an env var's name must be letters, digits, -, _ and . and not begin with a digit"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.valueFrom) || !has(self.value) || self.value == ''",messageExpression="'env var ' + self.name + ' has both value and valueFrom: remove one of them'"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.value) || [self.value.indexOf('$(' + self.name + ')')].all(i, i < 0 || i > 0 && self.value.charAt(i - 1) == '$')",messageExpression="'the value of ' + self.name + ' refers to itself: to add to a value that is there, leave the reference out and use join'"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.join) || has(self.value) && self.value != ''",messageExpression="'join needs a value: ' + self.name + ' has none'"
	Env []EnvVar `json:"env,omitempty"`

	// ConfigMaps and Secrets of the pod's namespace whose keys become
	// environment variables of the containers. Equal entries are added once.
	// A pod waits for one that is missing, unless it is optional: true.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:XValidation:rule="(!has(self.configMapRef) || self.configMapRef.name != '') && (!has(self.secretRef) || self.secretRef.name != '')",message="name the ConfigMap or Secret"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.prefix) || self.prefix == '' || self.prefix.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",message="the prefix must be letters, digits, -, _ and . and not begin with a digit"
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`

	// Mounts to add to the containers, of volumes that this Injection adds or
	// that the pod has.
	//
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="self.mountPath != '' && !self.mountPath.contains(':')",messageExpression="'the mount of volume ' + self.name + ' needs a mountPath, without a colon'"
	// +kubebuilder:validation:items:XValidation:rule="!format.dns1123Label().validate(self.name).hasValue()",messageExpression="'the mount at ' + self.mountPath + ' needs the name of a volume: a-z, 0-9 and -, at most 63'"
	// +kubebuilder:validation:items:XValidation:rule="!(has(self.subPath) && self.subPath != '' && has(self.subPathExpr) && self.subPathExpr != '')",messageExpression="'the mount at ' + self.mountPath + ' has both subPath and subPathExpr: remove one of them'"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.subPath) || !self.subPath.matches('^/|(^|/)[.][.](/|$)')",messageExpression="'the subPath of the mount at ' + self.mountPath + ' must be relative, without ..'"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.subPathExpr) || !self.subPathExpr.matches('^/|(^|/)[.][.](/|$)')",messageExpression="'the subPathExpr of the mount at ' + self.mountPath + ' must be relative, without ..'"
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`

	// Volumes to add to the pod. A pod waits for a ConfigMap or Secret that is
	// missing, unless it is optional: true.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:XValidation:rule="!format.dns1123Label().validate(self.name).hasValue()",message="a volume's name must be a-z, 0-9 and -, begin and end with a letter or digit, and have at most 63 characters"
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// Init containers to add to the pod. One with restartPolicy: Always is a
	// native sidecar. Give each of them limits for cpu and memory, and requests
	// that equal them: without, a pod of the QoS class Guaranteed becomes
	// Burstable.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:XValidation:rule="!format.dns1123Label().validate(self.name).hasValue()",message="an init container's name must be a-z, 0-9 and -, begin and end with a letter or digit, and have at most 63 characters"
	// +kubebuilder:validation:items:XValidation:rule="has(self.image) && self.image != ''",messageExpression="'init container ' + self.name + ' needs an image'"
	InitContainers []corev1.Container `json:"initContainers,omitempty"`

	// Secrets of the pod's namespace to add to the pod for pulling images.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:XValidation:rule="self.name != ''",message="name the Secret"
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// Labels to add to the pod. Those under telltale.dev/ are reserved.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="the key of a label must be a name such as team, or prefix/name such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.labelValue().validate(self[k]).hasValue())",message="a label's value must be empty, or letters, digits, -, _ and . that begin and end with a letter or digit"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('telltale.dev/'))",message="telltale.dev/ is Telltale's own prefix: use another"
	Labels map[string]string `json:"labels,omitempty"`

	// Annotations to add to the pod. Those under telltale.dev/ are reserved.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="the key of an annotation must be a name such as team, or prefix/name such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('telltale.dev/'))",message="telltale.dev/ is Telltale's own prefix: use another"
	Annotations map[string]string `json:"annotations,omitempty"`

	// Where in the pod's lists additions go.
	//
	// +optional
	// +kubebuilder:default={}
	Placement Placements `json:"placement,omitempty,omitzero"`

	// Decides where the pod, or an earlier Injection, already has an env
	// var, volume, mount path, init container, label or annotation of that name
	// with a different value. Skip (default): this Injection is not applied to
	// the pod, and that is a failure. KeepPod: what is there stays, the rest is
	// applied. Override: this Injection's value replaces it.
	//
	// +optional
	// +kubebuilder:default=Skip
	OnConflict ConflictPolicy `json:"onConflict,omitempty"`

	// The same for kinds of parts, in place of onConflict: {env: Override,
	// volumeMounts: KeepPod}, say. Default: onConflict, for all kinds.
	//
	// +optional
	OnConflictFor ConflictPolicies `json:"onConflictFor,omitempty,omitzero"`

	// Decides about a pod that this Injection could not be applied to. Admit
	// (default): it starts without, and an event on its Deployment says so.
	// Deny: it is refused, and the event says so. Deny is a best effort: a pod
	// is admitted all the same where the API server does not reach Telltale, or
	// has its answer too late, and where Telltale has too much to do, or has just
	// started and does not know the Injections or the pod's namespace yet.
	//
	// +optional
	// +kubebuilder:default=Admit
	OnFailure FailurePolicy `json:"onFailure,omitempty"`

	// Active (default): pods get it. Preview: no pod is changed, but for the
	// annotation telltale.dev/previewed, and status.pods says how many pods it would
	// reach, on how many it would fail, and why; there is no event and no failure, and
	// onFailure: Deny refuses nothing. It is judged after those that are active. Paused: new pods start without it, and no
	// failure says so; pods that have it keep it.
	//
	// +optional
	// +kubebuilder:default=Active
	Mode Mode `json:"mode,omitempty"`
}

// ClusterInjectionSpec says which pods of which namespaces get what.
type ClusterInjectionSpec struct {
	InjectionSpec `json:",inline"`

	// Which namespaces, by their labels. Default: all. Every namespace has the
	// label kubernetes.io/metadata.name, so that it can be selected by name.
	//
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// Injection declares what Telltale adds to pods of its own namespace: env
// vars, init containers and what they need. A pod always starts; what could
// not be added to it is shown as a Warning event on the Deployment (or other
// owner) of the pod.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=inj,categories=telltale
// +kubebuilder:printcolumn:name="Order",type=integer,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.pods.selected`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.pods.failed`
// +kubebuilder:printcolumn:name="Missed",type=integer,JSONPath=`.status.pods.missed`
// +kubebuilder:printcolumn:name="Stuck",type=integer,JSONPath=`.status.pods.stuck`
// +kubebuilder:printcolumn:name="Outdated",type=integer,JSONPath=`.status.pods.outdated`
// +kubebuilder:printcolumn:name="Injected",type=integer,priority=1,JSONPath=`.status.pods.injected`
// +kubebuilder:printcolumn:name="Lost",type=integer,priority=1,JSONPath=`.status.pods.lost`
// +kubebuilder:printcolumn:name="Revision",type=string,priority=1,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Injection struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which pods get what. A pod gets all of it or, where that can't be, nothing.
	Spec InjectionSpec `json:"spec"`

	// Whether it is in force.
	//
	// +optional
	Status InjectionStatus `json:"status,omitempty,omitzero"`
}

// InjectionList is a list of Injections.
//
// +kubebuilder:object:root=true
type InjectionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Injection `json:"items"`
}

// ClusterInjection is an Injection for pods of all namespaces, or of those
// that its namespaceSelector selects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cinj,categories=telltale
// +kubebuilder:printcolumn:name="Order",type=integer,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.pods.selected`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.pods.failed`
// +kubebuilder:printcolumn:name="Missed",type=integer,JSONPath=`.status.pods.missed`
// +kubebuilder:printcolumn:name="Stuck",type=integer,JSONPath=`.status.pods.stuck`
// +kubebuilder:printcolumn:name="Outdated",type=integer,JSONPath=`.status.pods.outdated`
// +kubebuilder:printcolumn:name="Injected",type=integer,priority=1,JSONPath=`.status.pods.injected`
// +kubebuilder:printcolumn:name="Lost",type=integer,priority=1,JSONPath=`.status.pods.lost`
// +kubebuilder:printcolumn:name="Revision",type=string,priority=1,JSONPath=`.status.revision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterInjection struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Which pods of which namespaces get what. A pod gets all of it or, where
	// that can't be, nothing.
	Spec ClusterInjectionSpec `json:"spec"`

	// Whether it is in force.
	//
	// +optional
	Status InjectionStatus `json:"status,omitempty,omitzero"`
}

// ClusterInjectionList is a list of ClusterInjections.
//
// +kubebuilder:object:root=true
type ClusterInjectionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ClusterInjection `json:"items"`
}
