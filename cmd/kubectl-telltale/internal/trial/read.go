package trial

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/cli"
	"github.com/telltale-dev/telltale/cmd/kubectl-telltale/internal/verdict"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
	"github.com/telltale-dev/telltale/webhook/failure"
)

// input is all that was read.
type input struct {
	*verdict.Cluster

	objects   []client.Object
	workloads []workload
	tests     []*Test
	// names are those of all Injections, as in a pod's record.
	names map[string]bool
	// unseen are the objects that Injections require, and that no file has.
	unseen map[string]bool
}

// workload is a subject, and the file that it is in.
type workload struct {
	*verdict.Subject

	source string
}

// read reads all objects. Errors name the file.
func (o *options) read() (*input, error) {
	namespace, err := o.InNamespace()
	if err != nil {
		return nil, err
	}

	infos, err := o.infos(namespace)
	if err != nil {
		return nil, cli.Unknown("%w", err)
	}

	in, errs := &input{names: map[string]bool{}, unseen: map[string]bool{}}, []error(nil)

	for _, info := range infos {
		u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(info.Object)
		if err == nil {
			err = in.add(&unstructured.Unstructured{Object: u}, info.Source, namespace)
		}

		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", info.Source, err))
		}
	}

	if errs = append(errs, in.nameNamespaces(o.labels)); errors.Join(errs...) != nil {
		return nil, cli.Unknown("%w", errors.Join(errs...))
	}

	if err := in.asVersion(o.version); err != nil {
		return nil, err
	}

	if in.Cluster, err = verdict.New(in.objects...); err != nil {
		return nil, cli.Unknown("%w", err)
	}

	return in, nil
}

// infos are the objects in the files, and those of the kustomization: the library
// reads one or the other.
func (o *options) infos(namespace string) (all []*resource.Info, err error) {
	for _, files := range []resource.FilenameOptions{
		{Filenames: o.files.Filenames, Recursive: o.files.Recursive}, {Kustomize: o.files.Kustomize},
	} {
		if len(files.Filenames) == 0 && files.Kustomize == "" {
			continue
		}

		infos, err := resource.NewLocalBuilder().Unstructured().Local().NamespaceParam(namespace).DefaultNamespace().
			FilenameParam(false, &files).Flatten().Do().Infos()
		if err != nil {
			return nil, err
		}

		all = append(all, infos...)
	}

	return all, nil
}

// add takes one object. Those that decide about no pod are skipped.
func (in *input) add(u *unstructured.Unstructured, source, namespace string) error {
	if u.GroupVersionKind().Group == v1alpha1.GroupVersion.Group && u.GetKind() == Kind {
		raw, err := json.Marshal(u.Object)
		if err != nil {
			return err
		}

		t, err := parseTest(raw, source)
		if err != nil {
			return err
		}

		t.Metadata.Namespace = cmp.Or(t.Metadata.Namespace, namespace)
		in.tests = append(in.tests, t)

		return nil
	}

	if o := typed(u); o != nil {
		// Tools that encrypt Secrets add fields of their own.
		strict := u.GetKind() != "ConfigMap" && u.GetKind() != "Secret"
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, o, strict); err != nil {
			return fmt.Errorf("cannot read %s %s: %w", u.GetKind(), u.GetName(), err)
		}

		in.take(o, namespace)

		return nil
	}

	if u.GetNamespace() == "" {
		u.SetNamespace(namespace)
	}

	s, err := verdict.SubjectOf(u)
	if s != nil && err == nil {
		in.workloads = append(in.workloads, workload{s, source})
	}

	return err
}

// typed is an empty object of a kind that decides about pods; nil for others.
func typed(u *unstructured.Unstructured) client.Object {
	switch u.GetAPIVersion() + " " + u.GetKind() {
	case v1alpha1.GroupVersion.String() + " Injection":
		return &v1alpha1.Injection{}
	case v1alpha1.GroupVersion.String() + " ClusterInjection":
		return &v1alpha1.ClusterInjection{}
	case "v1 Namespace":
		return &corev1.Namespace{}
	case "v1 LimitRange":
		return &corev1.LimitRange{}
	case "v1 ResourceQuota":
		return &corev1.ResourceQuota{}
	case "v1 ServiceAccount":
		return &corev1.ServiceAccount{}
	case "v1 ConfigMap":
		return &corev1.ConfigMap{}
	case "v1 Secret":
		return &corev1.Secret{}
	default:
		return nil
	}
}

func (in *input) take(o client.Object, namespace string) {
	switch o := o.(type) {
	case *v1alpha1.ClusterInjection:
		in.names[failure.Injection{Cluster: true, Name: o.Name}.String()] = true
	case *corev1.Namespace:
		label(o)
	case *v1alpha1.Injection:
		in.names[o.Name] = true

		o.SetNamespace(cmp.Or(o.Namespace, namespace))
	default:
		o.SetNamespace(cmp.Or(o.GetNamespace(), namespace))
	}

	in.objects = append(in.objects, o)
}

// label sets the label that the API server sets.
func label(ns *corev1.Namespace) {
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}

	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

// nameNamespaces adds the namespaces of --namespace-labels: "shop:env=prod,team=a".
func (in *input) nameNamespaces(all []string) error {
	for _, one := range all {
		name, list, colon := strings.Cut(one, ":")

		set, err := labels.ConvertSelectorToLabelsMap(list)
		if err != nil || name == "" || !colon {
			return fmt.Errorf(`--namespace-labels %q is not like shop:env=prod,team=a`, one)
		}

		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: set}}
		label(ns)
		in.objects = append(in.objects, ns)
	}

	return nil
}

// asVersion notes on each Injection what the API server of a version would have
// against it.
func (in *input) asVersion(version string) error {
	if version == "" {
		return nil
	}

	minor, err := minorOf(version)
	if err != nil {
		return cli.Unknown("%w", err)
	}

	for _, o := range in.objects {
		var spec *v1alpha1.InjectionSpec

		switch o := o.(type) {
		case *v1alpha1.Injection:
			spec = &o.Spec
		case *v1alpha1.ClusterInjection:
			spec = &o.Spec.InjectionSpec
		default:
			continue
		}

		if why := refusal(spec, minor); why != "" {
			verdict.StatusOf(o).ServerCheck = &v1alpha1.ServerCheck{Revision: verdict.Revision(o), Refused: why}
		}
	}

	return nil
}
