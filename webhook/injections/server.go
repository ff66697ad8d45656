package injections

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/telltale-dev/telltale/internal/oneline"
	"github.com/telltale-dev/telltale/patches"
	"github.com/telltale-dev/telltale/patches/v1alpha1"
)

const (
	// questions is how often the API server is asked a second, at most.
	questions = 10
	// answerTimeout is how long an answer may take.
	answerTimeout = 10 * time.Second
)

// server is the API server, asked whether it takes pods that have all of an
// Injection. It alone knows its version's rules and its feature gates. Asked is
// a dry run of a PodTemplate in Telltale's own namespace: it is judged as a pod
// is, and needs no right elsewhere.
type server struct {
	core      typedcorev1.CoreV1Interface
	namespace string
	questions *rate.Limiter

	mu       sync.Mutex
	versions versions
}

func newServer(cfg *rest.Config, namespace string) (*server, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = answerTimeout
	cfg.QPS = -1 // there is a limit here
	cfg.WarningHandler = rest.NoWarnings{}

	core, err := typedcorev1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for dry runs: %w", err)
	}

	return &server{core: core, namespace: namespace, questions: rate.NewLimiter(questions, 1)}, nil
}

// lastSeen is when an API server of a version was last seen.
func (s *server) lastSeen(one string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.versions.last(one)
}

// versionNow is the API server's version, as it was ten minutes ago at most.
func (s *server) versionNow(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.versions.newest != "" && time.Since(s.versions.at) < lookAtAll {
		return s.versions.newest, nil
	}

	body, err := s.core.RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot read the API server's version: %w", withoutText(err))
	}

	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil || info.GitVersion == "" {
		return "", errors.New("cannot read the API server's version: it gives none")
	}

	s.versions.saw(versionOf(info), time.Now())

	return s.versions.newest, nil
}

// versionOf has the version that the API server emulates, too, if it is another:
// that decides on the fields that it drops.
func versionOf(info version.Info) string {
	if info.EmulationMinor == "" || info.EmulationMinor == strings.TrimRight(info.Minor, "+") {
		return info.GitVersion
	}

	return fmt.Sprintf("%s as %s.%s", info.GitVersion, info.EmulationMajor, info.EmulationMinor)
}

// refused is the first field that the API server refuses or drops of every
// sample, and why; "" if it takes one. An error says that it did not judge.
func (s *server) refused(ctx context.Context, spec *v1alpha1.InjectionSpec) (first string, err error) {
	for sample := range patches.Samples(spec) {
		refused, err := s.ask(ctx, sample)
		if err != nil || refused == "" {
			return "", err
		}

		first = cmp.Or(first, refused)
	}

	return first, nil
}

func (s *server) ask(ctx context.Context, sample *corev1.PodTemplateSpec) (refused string, err error) {
	if err := s.questions.Wait(ctx); err != nil {
		return "", err
	}

	kept, err := s.core.PodTemplates(s.namespace).Create(ctx, &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "telltale-", Namespace: s.namespace},
		Template:   *sample,
	}, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll},
		// A field that it does not know is dropped, and so it is seen.
		FieldValidation: metav1.FieldValidationIgnore,
	})
	if err != nil {
		return refusalOf(err)
	}

	if field := patches.Dropped(sample, &kept.Template); field != "" {
		return field + ": this API server drops it: its version does not know it, or a feature gate is off", nil
	}

	return "", nil
}

// refusalOf tells the API server's own judgement of a PodTemplate from all else
// that may keep it from answering: policies, webhooks, quotas, rights.
func refusalOf(err error) (string, error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "", fmt.Errorf("cannot ask the API server: %w", err)
	}

	details := status.Status().Details
	if status.Status().Reason != metav1.StatusReasonInvalid || details == nil || details.Kind != "PodTemplate" || details.Group != "" || len(details.Causes) == 0 {
		return "", fmt.Errorf("cannot ask the API server: %w", withoutText(err))
	}

	cause := details.Causes[max(0, slices.IndexFunc(details.Causes, func(c metav1.StatusCause) bool {
		return !strings.HasPrefix(c.Field, "template.spec.containers[0].securityContext") // the sample's own
	}))]

	return oneline.Of(patches.Field(cause.Field) + ": " + withoutValue(cause.Message)), nil
}

// withoutText is an error of an API server without its text: that may quote what
// was sent, the values of env vars among it.
func withoutText(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}

	return fmt.Errorf("it answers %d %s", status.Status().Code, status.Status().Reason)
}

// withoutValue is a text such as `Invalid value: "x": must be longer`, without
// the value, which may be an env var's. Where the end of the value is unclear,
// nothing that follows is told.
//
// Source: Error.ErrorBody, k8s.io/apimachinery v0.37.2
// pkg/util/validation/field/errors.go.
func withoutValue(text string) string {
	kind, told, ok := strings.Cut(text, ": ")
	if !ok {
		return text
	}

	switch kind {
	case "Required value", "Forbidden", "Too long", "Too short", "Internal error":
		return told // these are without a value
	}

	if detail, ok := strings.CutPrefix(told[lengthOfValue(told):], ": "); ok {
		return detail
	}

	return kind
}

// lengthOfValue is how many bytes of a text are a value, as Go quotes strings or
// as JSON; 0 if that can't be told.
func lengthOfValue(text string) int {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		return len(quoted)
	}

	d := json.NewDecoder(strings.NewReader(text))

	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return 0
	}

	return int(d.InputOffset())
}
