package canary

// Result is what the canary has found, in one word. It is the label of
// telltale_canary.
type Result string

// The closed list of results. All but the first two are causes of an outage;
// docs/operate.md has a row for each.
const (
	// Well: the API server asks Telltale about new pods.
	Well Result = "well"
	// Unknown: something else refuses the canary pod, or the API server is away.
	Unknown Result = "unknown"
	// NotRegistered: there is no registration, or it has no entry.
	NotRegistered Result = "not_registered"
	// Narrowed: the registration's rules, selectors or match conditions leave new
	// pods out.
	Narrowed Result = "narrowed"
	// Excluded: a label of the canary's namespace excludes it.
	Excluded Result = "excluded"
	// Misdirected: the registration names another Service, or another path, or
	// something else than Telltale answers.
	Misdirected Result = "misdirected"
	// NoEndpoints: the Service has no endpoint that is ready.
	NoEndpoints Result = "no_endpoints"
	// Certificate: the registration's caBundle does not trust the certificate.
	Certificate Result = "certificate"
	// Refused: no connection can be made.
	Refused Result = "refused"
	// Timeout: no answer comes in time.
	Timeout Result = "timeout"
	// Unexplained: all that can be looked at is right.
	Unexplained Result = "unexplained"
)

// Results returns every result.
func Results() []Result {
	return []Result{
		Well, Unknown, NotRegistered, Narrowed, Excluded, Misdirected, NoEndpoints, Certificate, Refused, Timeout, Unexplained,
	}
}

// finding is the cause of an outage, and a sentence for people: what is wrong, and
// the cure. The sentence has nothing that changes from one look to the next.
type finding struct {
	Result Result `json:"result"`
	Text   string `json:"text"`
}
