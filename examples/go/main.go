// An App for Herald's callbacks, with nothing but the standard library: go run main.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const online, offline, kickOff = "callbackUserOnlineCommand", "callbackUserOfflineCommand", "callbackUserKickOffCommand"

type latest struct {
	seq    int64
	online bool
}

var (
	secret = os.Getenv("HERALD_SECRET") // whsec_…, one of Herald's callbacks.secrets; "" takes all
	key    []byte
	lock   sync.Mutex
	newest = map[string]latest{} // by user; a real App keeps this in its database
)

// signed checks by Standard Webhooks: over id, time and the body as it came.
func signed(header http.Header, body []byte) bool {
	id, at := header.Get("webhook-id"), header.Get("webhook-timestamp")
	unix, err := strconv.ParseInt(at, 10, 64)
	if err != nil || math.Abs(float64(time.Now().Unix()-unix)) > 300 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + string(body)))
	good := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, one := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal(good, []byte(one)) {
			return true
		}
	}
	return false
}

func take(query []string, body []byte) error {
	var told struct {
		UserID, CallbackCommand string
		Seq                     *int64
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return err
	}
	// Herald's command stands last.
	if command := told.CallbackCommand; len(query) == 0 || query[len(query)-1] != command ||
		command != online && command != offline && command != kickOff {
		return errors.New("not a command of this App, or URL and body differ")
	}
	if told.UserID == "" || told.Seq == nil {
		return errors.New("userID or seq is missing")
	}
	lock.Lock()
	defer lock.Unlock()
	// A kick-off changes nothing: an offline follows it if the user is gone.
	if known, seen := newest[told.UserID]; told.CallbackCommand != kickOff && (!seen || *told.Seq > known.seq) {
		newest[told.UserID] = latest{*told.Seq, told.CallbackCommand == online}
	}
	return nil
}

func callback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 65536))
	status, code, why := 200, 0, ""
	if err != nil {
		status, why = 413, err.Error()
	} else if secret != "" && !signed(r.Header, body) {
		status, why = 401, "not signed by us, or too long ago" // Herald holds everything back until the secrets agree
	} else if err = take(r.URL.Query()["command"], body); err != nil {
		status, why = 400, err.Error()
	}
	if status != 200 {
		code = 1
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"actionCode": code, "errCode": status * code, "errMsg": why, "errDlt": "", "nextCode": ""})
}

func page(w http.ResponseWriter) {
	lock.Lock()
	defer lock.Unlock()
	users := []string{}
	for user, known := range newest {
		if known.online {
			users = append(users, "<p>"+html.EscapeString(user))
		}
	}
	sort.Strings(users)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "%d online%s", len(users), strings.Join(users, ""))
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "10006"
	}
	var err error
	if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_")); err != nil {
		log.Fatal("HERALD_SECRET: ", err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			callback(w, r)
		} else {
			page(w)
		}
	})))
}
