package patches

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

// images are those of a pod.
type images []string

func (i images) Images() []string { return i }

// TestSelectsByMore holds the words that explain says for each term.
func TestSelectsByMore(t *testing.T) {
	pod := Traits{
		Labels:      map[string]string{"app": "checkout", "pod-template-hash": "5d7f9689b7"},
		Annotations: map[string]string{"team": "secret words\nof two lines"},
		Controller:  &metav1.OwnerReference{Kind: "ReplicaSet", Name: "checkout-5d7f9689b7"},
		Containers:  images{"registry.example/checkout:1", "fluent"},
	}

	cases := map[string]struct{ reason, spec, why string }{
		"All": {"Nothing to explain.", `{selector: {matchLabels: {app: checkout}}, ownerSelector: {include: [{kind: Deployment, name: checkout}]},
			imageSelector: {include: ["registry.example/*"], exclude: [nginx]}, annotationSelector: {matchExpressions: [{key: team, operator: Exists}]}}`, ""},
		"Empty": {"Selectors that say nothing select all.", `{selector: {}, ownerSelector: {}, imageSelector: {}, annotationSelector: {}}`, ""},
		"Owner": {
			"Both names are told: the user sees with which ones the term was compared.",
			`{selector: {}, ownerSelector: {include: [{kind: StatefulSet}, {kind: Deployment, name: "pay*"}]}}`,
			"the ownerSelector does not match the pod's controller: it includes StatefulSet, Deployment pay* and finds ReplicaSet checkout-5d7f9689b7 of Deployment checkout",
		},
		"OwnerExcluded": {
			"The term that says no is named, and no other.",
			`{selector: {}, ownerSelector: {include: [{kind: Deployment}], exclude: [{kind: Job}, {kind: Deployment, name: "check*"}]}}`,
			"the ownerSelector does not match the pod's controller: it excludes Deployment check* and finds ReplicaSet checkout-5d7f9689b7 of Deployment checkout",
		},
		"Image": {
			"All images are told.", `{selector: {}, imageSelector: {include: [checkout, "*/cart:*"]}}`,
			`the imageSelector does not match the images of the pod's app containers: it includes "checkout", "*/cart:*" and finds "registry.example/checkout:1", "fluent"`,
		},
		"ImageExcluded": {
			"The image that is one too much.", `{selector: {}, imageSelector: {exclude: [nginx, "flu*"]}}`,
			`the imageSelector does not match the images of the pod's app containers: it excludes "flu*" and finds "fluent"`,
		},
		"Annotation": {
			"A pod's annotation may be for nobody else to read, and of many lines.",
			`{selector: {}, annotationSelector: {matchAnnotations: {team: web, tier: a}, matchExpressions: [{key: team, operator: DoesNotExist}]}}`,
			`the annotationSelector does not match the pod's annotations: it wants team in ("web") and finds another value; ` +
				`it wants tier in ("a") and finds no annotation tier; it wants team not to be there and finds it there`,
		},
		"AnnotationNotIn": {
			"The Injection's values are told, on one line.",
			`{selector: {}, annotationSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a, "secret words\nof two lines"]}]}}`,
			`the annotationSelector does not match the pod's annotations: it wants team not in ("a", "secret words\nof two lines") and finds one of these`,
		},
		"Each": {
			"Each selector that says no is told.", `{selector: {matchLabels: {app: cart}}, ownerSelector: {include: [{kind: Job}]}, imageSelector: {include: [x]}}`,
			`the selector does not match the pod's labels: it wants app=cart and finds app=checkout; ` +
				`the ownerSelector does not match the pod's controller: it includes Job and finds ReplicaSet checkout-5d7f9689b7 of Deployment checkout; ` +
				`the imageSelector does not match the images of the pod's app containers: it includes "x" and finds "registry.example/checkout:1", "fluent"`,
		},
		"OwnersVoid": {
			"A schema can't see it.", `{selector: {}, ownerSelector: {include: [{kind: Deployment, name: "a-*"}, {kind: Job}], exclude: [{kind: Job}, {kind: Deployment, name: "a*"}]}}`,
			"spec.ownerSelector excludes all that it includes",
		},
		"ImagesVoid": {"A schema can't see it.", `{selector: {}, imageSelector: {include: ["a*b", a], exclude: ["a*"]}}`, "spec.imageSelector excludes all that it includes"},
		"Kind":       {"An owner that is not named by its kind is any.", `{selector: {}, ownerSelector: {include: [{name: a}]}}`, "spec.ownerSelector needs a kind for each controller"},
		"NoImage":    {"An empty image is a mistake.", `{selector: {}, imageSelector: {exclude: [""]}}`, "spec.imageSelector has an empty image"},
		"NoKey":      {"Of what?", `{selector: {}, annotationSelector: {matchExpressions: [{operator: Exists}]}}`, "spec.annotationSelector has a requirement without a key"},
		"NoValues":   {"None is in nothing.", `{selector: {}, annotationSelector: {matchExpressions: [{key: a, operator: In}]}}`, `spec.annotationSelector: In needs values for "a"`},
		"TooMany":    {"They would not count.", `{selector: {}, annotationSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}`, `spec.annotationSelector: Exists takes no values for "a"`},
		"Operator":   {"There is no such thing.", `{selector: {}, annotationSelector: {matchExpressions: [{key: a, operator: Like}]}}`, `spec.annotationSelector: there is no operator "Like"`},
		"OurRecord":  {"It changes with the answer.", `{selector: {}, annotationSelector: {matchAnnotations: {telltale.dev/injected: x}}}`, `spec.annotationSelector: annotations under telltale.dev/ are Telltale's own records: "telltale.dev/injected"`},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := v1alpha1.Injection{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}}
			decode(t, []byte(c.spec), &in.Spec, true)

			yes, why := Compile(&in).Selects(pod, Namespace{Name: "shop", Known: true})
			if diff := cmp.Diff(c.why, why); diff != "" || yes != (why == "") {
				t.Errorf("%s\nit selects: %t; -want +got\n%s", c.reason, yes, diff)
			}
		})
	}
}

// TestControllersOf holds the names that an ownerSelector is compared with.
func TestControllersOf(t *testing.T) {
	cases := map[string]struct {
		reason, kind, name string
		labels             map[string]string
		want               string
	}{
		"Bare":          {"It has none.", "", "", nil, ""},
		"StatefulSet":   {"There is nothing above it.", "StatefulSet", "db-5d7f9689b7", map[string]string{"pod-template-hash": "5d7f9689b7"}, "StatefulSet db-5d7f9689b7"},
		"Deployment":    {"Its name is what is left of the ReplicaSet's.", "ReplicaSet", "a-b-5d7f9689b7", map[string]string{"pod-template-hash": "5d7f9689b7"}, "ReplicaSet a-b-5d7f9689b7, Deployment a-b"},
		"Rollout":       {"Argo's are named in the same way.", "ReplicaSet", "a-1", map[string]string{"rollouts-pod-template-hash": "1"}, "ReplicaSet a-1, Rollout a"},
		"OtherHash":     {"A ReplicaSet of its own may carry any label.", "ReplicaSet", "a-b", map[string]string{"pod-template-hash": "c"}, "ReplicaSet a-b"},
		"EmptyHash":     {"No hash is no part of a name.", "ReplicaSet", "a-", map[string]string{"pod-template-hash": ""}, "ReplicaSet a-"},
		"OnlyHash":      {"Nothing is left.", "ReplicaSet", "-x", map[string]string{"pod-template-hash": "x"}, "ReplicaSet -x"},
		"NoLabel":       {"Names alone don't tell.", "ReplicaSet", "a-5d7f9689b7", nil, "ReplicaSet a-5d7f9689b7"},
		"CronJob":       {"Its Jobs are named after the minute.", "Job", "backup-29401234", nil, "Job backup-29401234, CronJob backup"},
		"JobByHand":     {"kubectl create job --from names it otherwise.", "Job", "backup-manual", nil, "Job backup-manual"},
		"JobLongNumber": {"No minute has 9 digits, before 2160.", "Job", "backup-294012345", nil, "Job backup-294012345"},
		"JobOfNumber":   {"Nothing is left.", "Job", "29401234", nil, "Job 29401234"},
		"JobOfDash":     {"Nothing is left.", "Job", "-29401234", nil, "Job -29401234"},
		"OtherKind":     {"Any kind is taken as it is.", "SparkApplication", "a-29401234", nil, "SparkApplication a-29401234"},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod := Traits{Labels: c.labels}
			if c.kind != "" {
				pod.Controller = &metav1.OwnerReference{Kind: c.kind, Name: c.name}
			}

			if got := wordsOf(controllersOf(pod), ", "); got != c.want {
				t.Errorf("%s got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

// TestGlob compares a glob with a regular expression of the same meaning.
func TestGlob(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	word := func(letters string) string {
		var b strings.Builder
		for range random.IntN(7) {
			b.WriteByte(letters[random.IntN(len(letters))])
		}

		return b.String()
	}

	matched := 0

	for range 20_000 {
		g, text := word("ab/**"), word("ab/\n")

		want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(g), `\*`, "(?s:.*)") + "$").MatchString(text)
		if got := glob(g).matches(text); got != want {
			t.Fatalf("%q stands for %q: %t, want %t", g, text, got, want)
		}

		if want {
			matched++
		}
	}

	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
}

// TestTraits holds that a pod has the same traits in a review and as it exists.
func TestTraits(t *testing.T) {
	raw := []byte(`{"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "ownerReferences": [
		{"apiVersion": "v1", "kind": "X", "name": "no", "uid": "1"}, {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "2", "controller": true}]},
		"spec": {"initContainers": [{"name": "i", "image": "init"}], "containers": [{"name": "a", "image": "x:1"}, {"name": "b"}]}}`)

	pod, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}

	var whole corev1.Pod
	decode(t, raw, &whole, true)

	in, is := pod.Traits(), TraitsOf(&whole)
	if diff := cmp.Diff(in.Containers.Images(), is.Containers.Images()); diff != "" {
		t.Error(diff)
	}

	if diff := cmp.Diff([]string{"x:1", ""}, in.Containers.Images()); diff != "" {
		t.Error(diff)
	}

	in.Containers, is.Containers = nil, nil
	if diff := cmp.Diff(in, is); diff != "" {
		t.Error(diff)
	}
}

func randomTraits(random *rand.Rand) Traits {
	pod := Traits{Labels: randomOptOut(random, randomLabels(random)), Annotations: randomLabels(random)}
	if random.IntN(4) > 0 {
		pod.Controller = &metav1.OwnerReference{Kind: randomWord(random, "ReplicaSet", "Job", "X"), Name: randomWord(random, "a", "b", "a-29401234")}
	}

	for range random.IntN(3) {
		pod.Containers = append(images(imagesOf(pod)), randomWord(random, "a", "b", "ab"))
	}

	return pod
}

// randomChoice has half of the Injections choose by more than labels.
func randomChoice(random *rand.Rand, s *v1alpha1.InjectionSpec) {
	if random.IntN(4) == 0 {
		s.OwnerSelector = &v1alpha1.OwnerSelector{Exclude: []v1alpha1.OwnerTerm{{Kind: randomWord(random, "Job", "X"), Name: randomWord(random, "", "a", "a*")}}}
		if random.IntN(2) == 0 {
			s.OwnerSelector.Include = []v1alpha1.OwnerTerm{{Kind: randomWord(random, "ReplicaSet", "Job", "CronJob"), Name: randomWord(random, "", "a", "*")}}
		}
	}

	if random.IntN(4) == 0 {
		s.ImageSelector = &v1alpha1.ImageSelector{Include: []string{randomWord(random, "a*", "b", "*")}, Exclude: []string{randomWord(random, "ab", "c")}}
	}

	if random.IntN(4) == 0 {
		s.AnnotationSelector = &v1alpha1.AnnotationSelector{MatchAnnotations: randomLabels(random)}
		s.AnnotationSelector.MatchExpressions = []v1alpha1.AnnotationRequirement{{
			Key: "tier", Operator: v1alpha1.AnnotationOperator(randomWord(random, "In", "NotIn", "Bad")), Values: []string{randomWord(random, "a", "b")},
		}}
	}
}
