package check

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// oldest is the oldest version of Kubernetes that takes the CRDs' rules.
	oldest = "1.32.0"
	// soon is when a certificate that is not renewed is told: as the alert does.
	soon = 48 * time.Hour
	// apply is the cure for all that differs from the manifests.
	apply = "Apply the manifests of your version again"
)

// judge turns what was read into lines.
func (f *found) judge(now time.Time) ([]Line, error) {
	var lines []Line

	ours, err := ourRegistration()
	if err != nil {
		return nil, err
	}

	f.judgeAPIServer(section{"kubernetes-api", &lines})

	f.judgeCRDs(section{"telltale-installation", &lines})
	f.judgeDeployment(section{"telltale-installation", &lines})
	f.judgeRights(section{"telltale-installation", &lines})
	f.judgeRegistration(section{"telltale-registration", &lines}, ours, now)
	f.judgeLife(section{"telltale-work", &lines}, now)
	f.judgeInjections(section{"injections", &lines})

	return lines, nil
}

func (f *found) judgeAPIServer(s section) { judgeVersion(s, f.version) }

func judgeVersion(s section, is string) {
	const check = "the API server is new enough"

	v, err := version.ParseGeneric(is)

	switch {
	case err != nil:
		s.unread(check, err)
	case v.LessThan(version.MustParseGeneric(oldest)):
		s.add(check, Bad, is+" is older than "+oldest, "Upgrade Kubernetes", "install.md#versions-of-kubernetes")
	default:
		s.good(check, is)
	}
}

// judgeCRDs compares the CRDs with those of this plugin.
func (f *found) judgeCRDs(s section) {
	for _, our := range f.ours {
		check := "the CRD " + our.GetName() + " is there, and of this plugin's version"
		crd := f.crds[our.GetName()]

		switch {
		case crd.isMissing():
			s.add(check, Bad, "it is not there", "Install Telltale", "install.md#install")
		case crd.err != nil:
			s.unread(check, crd.err)
		case !isEstablished(crd.o):
			s.add(check, Bad, "the API server does not serve it yet", "See kubectl describe crd "+our.GetName(), "install.md#install")
		case !equality.Semantic.DeepEqual(schemaOf(our), schemaOf(crd.o)):
			s.add(check, Warning, "its schema differs from that of plugin "+f.plugin, "Use the plugin and the manifests of one version", "install.md#upgrade")
		default:
			s.good(check, "")
		}
	}
}

func isEstablished(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return true
		}
	}

	return false
}

// schemaOf are the schemas of a CRD, by version.
func schemaOf(crd *unstructured.Unstructured) map[string]any {
	all := map[string]any{}

	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		if v, ok := v.(map[string]any); ok {
			all[fmt.Sprint(v["name"])] = v["schema"]
		}
	}

	return all
}

func (f *found) judgeDeployment(s section) {
	const check = "all replicas of Telltale are ready"

	const page = "operate.md#telltaledown"

	d := f.deployment.o

	switch {
	case f.isOutside():
		s.good("Telltale runs outside of the cluster", *f.entry().ClientConfig.URL)

		return
	case f.deployment.isMissing():
		s.add(check, Bad, "there is no Deployment telltale in namespace "+f.namespace, "Install Telltale, or name its namespace by --telltale-namespace", "install.md#install")

		return
	case f.deployment.err != nil:
		s.unread(check, f.deployment.err)

		return
	}

	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}

	ready := fmt.Sprintf("%d of %d", d.Status.ReadyReplicas, want)

	switch {
	case d.Status.ReadyReplicas == 0:
		s.add(check, Bad, ready, "See kubectl describe pods -n "+f.namespace+", and their logs", page)
	case d.Status.ReadyReplicas < want:
		s.add(check, Warning, ready, "See kubectl describe pods -n "+f.namespace+", and their logs", page)
	case want < 2:
		s.add(check, Warning, "there is one: while it moves to another node, pods start without Injections", "Run two replicas", "install.md#sizing")
	default:
		s.good(check, ready)
	}

	f.judgeVersions(s)
}

// judgeVersions compares the image with the plugin.
func (f *found) judgeVersions(s section) {
	const check = "all replicas are of the plugin's version"

	d := f.deployment.o
	if len(d.Spec.Template.Spec.Containers) == 0 {
		return
	}

	image := d.Spec.Template.Spec.Containers[0].Image
	_, tag, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	tag, _, _ = strings.Cut(tag, "@")

	switch {
	case d.Status.UpdatedReplicas < d.Status.Replicas || d.Status.ObservedGeneration < d.Generation:
		s.add(check, Warning, "a rollout goes on", "See kubectl rollout status deployment/telltale -n "+f.namespace, "install.md#upgrade")
	case tag != f.plugin && tag != "" && f.plugin != "dev":
		s.add(check, Warning, "the image is "+image+", the plugin "+f.plugin, "Use the plugin of Telltale's version", "install.md#upgrade")
	default:
		s.good(check, cmp.Or(tag, image))
	}
}

func (f *found) judgeRights(s section) {
	const check = "Telltale has its rights"

	switch lack := f.missing.o; {
	case f.missing.err != nil:
		s.unread(check, f.missing.err)
	case len(lack) > 0:
		s.add(check, Bad, "it may not "+strings.Join(lack, ", "), apply, "install.md#rights")
	default:
		s.good(check, "")
	}
}

// judgeRegistration compares the registration with that of the manifests, field by
// field.
func (f *found) judgeRegistration(s section, ours *admissionregistrationv1.MutatingWebhook, now time.Time) {
	const check = "Telltale is registered"

	const page = "operate.md#telltalecanarybypassed"

	e := f.entry()

	switch {
	case f.registration.err != nil && !f.registration.isMissing():
		s.unread(check, f.registration.err)

		return
	case e == nil:
		s.add(check, Bad, "mutatingwebhookconfiguration/"+f.settings.registration+" is not there, or has no entry pods.telltale.dev", apply, page)

		return
	}

	s.good(check, "")
	f.judgePolicy(s, e, ours)

	for _, part := range []struct {
		check    string
		is, want any
	}{
		{"its rules are the creation of pods", e.Rules, ours.Rules},
		{"it selects the namespaces that it should", e.NamespaceSelector, ours.NamespaceSelector},
		{"it selects the pods that it should", e.ObjectSelector, ours.ObjectSelector},
		{"it has no other conditions", len(e.MatchConditions), 0},
	} {
		if equality.Semantic.DeepEqual(part.is, part.want) {
			s.good(part.check, "")
		} else {
			s.add(part.check, Warning, "it differs from the manifests: some pods may get no Injection", apply+", unless that is meant", page)
		}
	}

	f.judgeBundle(s, e, now)

	if !f.isOutside() {
		f.judgeNetwork(s)
	}
}

func (f *found) judgePolicy(s section, e, ours *admissionregistrationv1.MutatingWebhook) {
	const check = "it never breaks a pod"

	const page = "operate.md#telltalebypassed"

	switch {
	case e.FailurePolicy == nil || *e.FailurePolicy != *ours.FailurePolicy:
		s.add(check, Bad, "its failurePolicy is not Ignore: without Telltale no pod starts", apply, page)
	case e.TimeoutSeconds == nil || *e.TimeoutSeconds > *ours.TimeoutSeconds:
		s.add(check, Warning, "its timeoutSeconds are more than the manifests say: pods wait longer if Telltale is away", apply, page)
	case e.SideEffects == nil || *e.SideEffects != *ours.SideEffects:
		s.add(check, Warning, "its sideEffects are not NoneOnDryRun: dry runs are refused, or leave Telltale out", apply, page)
	default:
		s.good(check, "failurePolicy Ignore")
	}
}

// judgeBundle looks at the CAs that the API server trusts.
func (f *found) judgeBundle(s section, e *admissionregistrationv1.MutatingWebhook, now time.Time) {
	const check = "its caBundle has a valid CA"

	const page = "operate.md#telltalecertificateexpires"

	const cure = "See the log of Telltale, or of cert-manager's CA injector"

	newest, n, err := newestCA(e.ClientConfig.CABundle)

	switch {
	case err != nil:
		s.add(check, Bad, "it can't be read: "+err.Error(), cure, page)
	case n == 0:
		s.add(check, Bad, "it is empty: the API server trusts no certificate of Telltale", cure, page)
	case !newest.After(now):
		s.add(check, Bad, "all have expired, the last "+newest.UTC().Format(time.RFC3339), cure, page)
	case newest.Before(now.Add(soon)):
		s.add(check, Warning, "the last expires "+newest.UTC().Format(time.RFC3339), cure, page)
	default:
		s.good(check, "until "+newest.UTC().Format(time.DateOnly))
	}
}

// newestCA returns when the last of the certificates of a bundle expires.
func newestCA(bundle []byte) (newest time.Time, n int, err error) {
	for rest := bundle; ; n++ {
		var block *pem.Block

		block, rest = pem.Decode(rest)
		if block == nil {
			return newest, n, nil
		}

		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return newest, n, err
		}

		if c.NotAfter.After(newest) {
			newest = c.NotAfter
		}
	}
}

// judgeInjections counts those that can't be used, and those that are withdrawn.
func (f *found) judgeInjections(s section) {
	const ready, kept = "all Injections can be used", "no Injection is withdrawn"

	for _, err := range []error{f.injections.err, f.clusterWide.err} {
		if err != nil {
			s.unread(ready, err)

			return
		}
	}

	var stalled, withdrawn []string

	see := func(name string, status *v1alpha1.InjectionStatus) {
		if meta.IsStatusConditionTrue(status.Conditions, v1alpha1.StalledCondition) {
			stalled = append(stalled, name)
		}

		for i := range status.Withdrawn {
			if status.Withdrawn[i].Phase == v1alpha1.WithdrawnPhase {
				withdrawn = append(withdrawn, name)

				break
			}
		}
	}

	for i := range f.injections.o.Items {
		in := &f.injections.o.Items[i]
		see(in.Namespace+"/"+in.Name, &in.Status)
	}

	for i := range f.clusterWide.o.Items {
		in := &f.clusterWide.o.Items[i]
		see("cluster/"+in.Name, &in.Status)
	}

	list := func(check string, names []string, cure, page string) {
		if len(names) == 0 {
			s.good(check, "")
		} else {
			s.add(check, Warning, fmt.Sprintf("%d: %s", len(names), strings.Join(names[:min(len(names), 5)], ", ")), cure, page)
		}
	}
	list(ready, stalled, "See kubectl telltale failures -A", "operate.md#an-injection-is-missing")
	list(kept, withdrawn, "See kubectl telltale withdrawn -A", "operate.md#pods-were-refused-because-of-an-injection")
}
