package route

import (
	"context"

	"github.com/pgam/pgam/internal/account"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/statement"
	"github.com/pgam/pgam/internal/target"
)

// Shown gives sessions as who asks may see them. A viewer sees the texts of
// statements as the history of the server keeps them: without literals, or not at
// all; whoever manages servers sees them whole. What is given may be shared with
// others, so it is not changed. The error says that there is no room for them.
func Shown(ctx context.Context, t target.Target, sessions []live.Session) ([]live.Session, error) {
	if err := roomFor(ctx, sessions); err != nil {
		return nil, err
	}
	if t.QueryTexts == target.TextsFull || Needs(ctx, account.Operator, "") == nil {
		return sessions, nil
	}
	shown := make([]live.Session, len(sessions))
	for i, s := range sessions {
		if s.Query != nil {
			text := ""
			if t.QueryTexts == target.TextsNormalized {
				text = statement.Normalize(*s.Query)
			}
			if s.Query = &text; text == "" && t.QueryTexts != target.TextsNormalized {
				s.Query = nil
			}
		}
		shown[i] = s
	}
	return shown, nil
}
