package server

import "time"

// AlertHealth is how the alerts of one target are: a rule's webhook, or one of
// its units. No address is in it.
type AlertHealth struct {
	Rule        string    `json:"rule" doc:"The name of the entry [[alerts]] of the settings."`
	Target      string    `json:"target" doc:"webhook, or the unit as the settings have it."`
	Waiting     int       `json:"waiting" doc:"Alerts that are due and not delivered."`
	OldestAt    time.Time `json:"oldest_at,omitzero" doc:"When the oldest of them was seen."`
	DeliveredAt time.Time `json:"delivered_at,omitzero" doc:"When this daemon last delivered one."`
	Error       string    `json:"error,omitempty" doc:"Why the last attempt failed; left out when it did not."`
}

// AlertResult is what came of the test of one target.
type AlertResult struct {
	Rule   string `json:"rule" doc:"The name of the entry [[alerts]] of the settings."`
	Target string `json:"target" doc:"webhook, or the unit that was started."`
	OK     bool   `json:"ok" doc:"It was delivered."`
	Status int    `json:"status,omitempty" doc:"What the webhook answered, an HTTP status."`
	Fault  string `json:"fault,omitempty" doc:"What kind of fault it was."`
	Detail string `json:"detail,omitempty" doc:"Why it was not delivered."`
}
