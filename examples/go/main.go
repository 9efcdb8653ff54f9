// An App for Herald's callbacks, with nothing but the standard library: go run main.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

var commandsTaken = map[string]bool{"callbackUserOnlineCommand": true, "callbackUserOfflineCommand": true, "callbackUserKickOffCommand": true, "callbackUserBackgroundCommand": true}
var secret = os.Getenv("HERALD_SECRET") // whsec_…, one of Herald's callbacks.secrets; "" takes all
var key, keyError = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
var lock sync.Mutex
var seqs, present = map[string]int64{}, map[string]bool{} // by user; a real App keeps them in its database

// signed goes by Standard Webhooks: over id, time and the body as it came.
func signed(header http.Header, body []byte) (good bool) {
	var unix int64
	fmt.Sscan(header.Get("webhook-timestamp"), &unix)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), body)
	for _, one := range strings.Fields(header.Get("webhook-signature")) {
		given, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "v1,"))
		good = good || hmac.Equal(given, mac.Sum(nil))
	}
	return good && time.Since(time.Unix(unix, 0)).Abs() <= 5*time.Minute
}

// take returns an HTTP status; after 401 Herald holds everything back until the secrets agree.
func take(header http.Header, commands []string, body []byte) int {
	told, command := map[string]any{}, commands[len(commands)-1] // Herald's stands last
	err := json.Unmarshal(body, &told)
	user, _ := told["userID"].(string)
	seq, isNumber := told["seq"].(float64) // exact: it stays below 2^53
	if secret != "" && !signed(header, body) {
		return 401
	} else if err != nil || user == "" || !isNumber || !commandsTaken[command] || command != told["callbackCommand"] {
		return 400
	} else if command != "callbackUserKickOffCommand" && int64(seq) > seqs[user] { // an offline follows if the user is gone
		seqs[user], present[user] = int64(seq), true
		if command == "callbackUserOfflineCommand" {
			delete(present, user)
		}
	}
	return 200
}

func main() {
	port := 10006
	fmt.Sscan(os.Getenv("PORT"), &port)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, tooLong := io.ReadAll(http.MaxBytesReader(w, r.Body, 65536))
		status := 413
		lock.Lock()
		defer lock.Unlock()
		if r.Method != http.MethodPost {
			users, _ := json.Marshal(present)
			fmt.Fprintf(w, "%d online: %s", len(present), users)
			return
		} else if tooLong == nil {
			status = take(r.Header, append([]string{""}, r.URL.Query()["command"]...), body)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"actionCode":%d,"errCode":%[1]d,"errMsg":%q,"errDlt":"","nextCode":""}`, status-200, http.StatusText(status))
	})
	if keyError != nil {
		panic(fmt.Sprint("HERALD_SECRET: ", keyError))
	}
	panic(http.ListenAndServe(fmt.Sprint("127.0.0.1:", port), nil))
}
