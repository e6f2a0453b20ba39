// Asynchronous requests over real sockets: Prefer: respond-async, /v1/falproxy/jobs, callbacks.
#include <doctest/doctest.h>
#include <httplib.h>
#include <openssl/hmac.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/hmac.hpp"
#include "commands/commands.hpp"
#include "commands/surroundings.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "folder.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const std::string pictures_route = "/v1/images/generations";
const std::string respond_async = "Prefer: respond-async\r\n";
constexpr Milliseconds for_ever{10'000'000};

falsim::FalsimOptions never_ending() { return {.job_time = for_ever}; }

// Waits as long as `is_so` is not so; a fault in it ends the test after a minute.
void wait_until(const std::function<bool()>& is_so) {
  for (int tries = 0; tries < 6'000 && !is_so(); ++tries)
    std::this_thread::sleep_for(Milliseconds(10));
  REQUIRE(is_so());
}

std::string begin_job(const Served& served, const std::string& body = lighthouse,
                      const std::string& fields = respond_async) {
  const Received got = served.post(pictures_route, body, fields);
  CAPTURE(got.body);
  REQUIRE(got.status == 202);
  return text_at(got.body, "id");
}

Received wait_for_end(const Served& served, const std::string& job) {
  Received got;
  wait_until([&] {
    got = served.get("/v1/falproxy/jobs/" + job);
    const std::string status = text_at(got.body, "status");
    return status != "queued" && status != "in_progress";
  });
  return got;
}

// A client's own server, which answers `statuses` one after the other, and then 204.
class Listener {
 public:
  struct Call {
    std::string id, time, signature, body;
  };
  explicit Listener(std::vector<int> statuses = {}) : statuses_(std::move(statuses)) {
    server_.Post("/hook", [this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      response.status = calls_.size() < statuses_.size() ? statuses_[calls_.size()] : 204;
      calls_.push_back({request.get_header_value("webhook-id"),
                        request.get_header_value("webhook-timestamp"),
                        request.get_header_value("webhook-signature"), request.body});
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    server_.wait_until_ready();
  }
  ~Listener() {
    server_.stop();
    thread_.join();
  }
  [[nodiscard]] std::string origin() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string field() const {
    return "X-Falproxy-Callback: " + origin() + "/hook\r\n";
  }
  [[nodiscard]] std::vector<Call> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  const std::vector<int> statuses_;
  httplib::Server server_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Call> calls_;
  std::thread thread_;
};

std::string base64_hmac(const std::string& key, const std::string& text) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes, &size);
  std::string out;
  OpensslCodecs().encode_base64({reinterpret_cast<const char*>(bytes), size}, out);
  return out;
}

}  // namespace

TEST_CASE("the files of a job come through the server, if they are there") {
  const Served served;
  const std::string job = begin_job(served);
  wait_for_end(served, job);
  const std::string content = "/v1/falproxy/jobs/" + job + "/content";
  const Received file = served.get(content);
  CHECK(file.status == 200);
  CHECK(file.header("content-type").starts_with("image/"));
  CHECK(file.body.size() > 100);
  CHECK(served.get(content + "?index=0").body == file.body);
  CHECK(served.get(content + "?index=1").status == 404);
  const Received no_number = served.get(content + "?index=x");
  CHECK(no_number.status == 400);
  CHECK(text_at(no_number.body, "error.param") == "index");
  const Served slow({}, never_ending());
  CHECK(slow.get("/v1/falproxy/jobs/" + begin_job(slow) + "/content").status == 404);
}

TEST_CASE("a request that need not wait gets an address, and there its answer") {
  const Served served;
  const Received got = served.post(pictures_route, lighthouse, respond_async);
  REQUIRE(got.status == 202);
  const std::string job = text_at(got.body, "id");
  CHECK(job.size() == 4 + 32);
  CHECK(got.header("location") == "/v1/falproxy/jobs/" + job);
  CHECK(got.header("preference-applied") == "respond-async");
  CHECK(text_at(got.body, "object") == "falproxy.job");
  CHECK(text_at(got.body, "model") == "flux");
  CHECK(text_at(got.body, "request") == "images.generations");
  const Received ended = wait_for_end(served, job);
  CAPTURE(ended.body);
  CHECK(ended.status == 200);
  CHECK(text_at(ended.body, "status") == "completed");
  CHECK(at(ended.body, "progress").as_integer() == 100);
  CHECK(text_at(ended.body, "response.data.0.url").starts_with("http"));
  CHECK(at(ended.body, "response.created").as_integer() > 0);
  CHECK(ended.body.find("lighthouse") == std::string::npos);
  CHECK(served.sim.submits().size() == 1);
}

TEST_CASE("the answer of an asynchronous request is the one that was asked for") {
  const Served served(Environment{{"KEEP_PROMPTS", "true"}});
  const std::string job =
      begin_job(served, R"({"model":"flux","prompt":"a fox","n":2,"response_format":"b64_json"})");
  const Received ended = wait_for_end(served, job);
  CHECK(text_at(ended.body, "response.data.1.b64_json").size() > 100);
  CHECK(text_at(ended.body, "prompt") == "a fox");
}

TEST_CASE("preferences are read as RFC 7240 has them, and a stream is streamed") {
  const Served served;
  CHECK(served.post(pictures_route, lighthouse, "Prefer: wait=5, Respond-Async\r\n").status == 202);
  CHECK(served
            .post(pictures_route, lighthouse,
                  "Prefer: return=minimal\r\nPrefer: respond-async;x=1\r\n")
            .status == 202);
  CHECK(served.post(pictures_route, lighthouse, "Prefer: respond-asynchronously\r\n").status ==
        200);
  const Received stream = served.post(
      pictures_route, R"({"model":"flux","prompt":"a fox","stream":true})", respond_async);
  CHECK(stream.status == 200);
  CHECK(stream.body.find("image_generation.completed") != std::string::npos);
}

TEST_CASE("what is wrong with an asynchronous request is told at once, unpaid") {
  const Served served;
  const Received wrong =
      served.post(pictures_route, R"({"model":"flux","prompt":"x","n":"many"})", respond_async);
  CHECK(wrong.status == 400);
  CHECK(text_at(wrong.body, "error.param") == "n");
  CHECK(served.post(pictures_route, R"({"model":"nobody","prompt":"x"})", respond_async).status ==
        400);
  CHECK(served.sim.submits().empty());
}

TEST_CASE("a job of somebody else's is not there") {
  const Served served(Environment{{"ACCESS_KEYS", "other=another-access-key-1"}});
  const std::string path = "/v1/falproxy/jobs/" + begin_job(served);
  const std::string mine = key_field(), theirs = key_field("another-access-key-1");
  const auto status = [&](const std::string& method, const std::string& where,
                          const std::string& key) {
    RawClient client(served.port());
    return client
        .exchange(method + " " + where + " HTTP/1.1\r\nHost: a\r\n" + key +
                  "Connection: close\r\n\r\n")
        .status;
  };
  CHECK(status("GET", path, mine) == 200);
  CHECK(status("GET", path, theirs) == 404);
  CHECK(status("DELETE", path, theirs) == 404);
  CHECK(status("GET", path, "") == 401);
  CHECK(status("GET", "/v1/falproxy/jobs/job_00000000000000000000000000000000", mine) == 404);
  CHECK(status("GET", "/v1/falproxy/jobs/nothing", mine) == 404);
  CHECK(status("POST", path, mine) == 405);
}

TEST_CASE("a job that runs is seen, listed and cancelled, at fal, too") {
  const Served served({}, never_ending());
  const std::string job = begin_job(served);
  wait_until([&] {
    return text_at(served.get("/v1/falproxy/jobs/" + job).body, "status") == "in_progress";
  });
  const std::string second = begin_job(served);
  const Received list = served.get("/v1/falproxy/jobs?limit=1");
  CHECK(text_at(list.body, "data.0.id") == second);
  CHECK(at(list.body, "has_more").as_boolean() == true);
  const Received rest = served.get("/v1/falproxy/jobs?limit=1&after=" + second);
  CHECK(text_at(rest.body, "data.0.id") == job);
  CHECK(at(rest.body, "has_more").as_boolean() == false);
  CHECK(served.get("/v1/falproxy/jobs?limit=0").status == 400);
  CHECK(served.get("/v1/falproxy/jobs?after=x").status == 400);
  for (const std::string& one : {job, second}) {
    RawClient client(served.port());
    const Received got =
        client.exchange("DELETE /v1/falproxy/jobs/" + one + " HTTP/1.1\r\nHost: a\r\n" +
                        key_field() + "Connection: close\r\n\r\n");
    CAPTURE(got.body);
    CHECK(got.status == 200);
    CHECK(text_at(got.body, "status") == "cancelled");
    CHECK(text_at(got.body, "error.code") == "request_cancelled");
  }
  CHECK(served.sim.stats().cancelled == 2);
}

TEST_CASE("a key that is sent twice at once begins one job") {
  const Served served({}, never_ending());
  const std::string fields = respond_async + "Idempotency-Key: k-1\r\n";
  std::set<std::string> ids;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const Received got = served.post(pictures_route, lighthouse, fields);
      const std::lock_guard lock(mutex);
      ids.insert(std::to_string(got.status) + text_at(got.body, "id"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(ids.size() == 1);
  CHECK(ids.begin()->starts_with("202job_"));
  CHECK(served.sim.submits().size() == 1);
  const Received again = served.post(pictures_route, lighthouse, fields);
  CHECK(again.header("idempotent-replayed") == "true");
}

TEST_CASE("the end of a job is told, signed as Standard Webhooks are, again until it is heard") {
  const Listener listener({500});
  const Served served(Environment{{"CALLBACK_HOSTS", listener.origin()}});
  const std::string job = begin_job(served, lighthouse, respond_async + listener.field());
  wait_until([&] { return listener.calls().size() == 2; });
  const auto calls = listener.calls();
  CHECK(calls[0].id == calls[1].id);
  CHECK(calls[0].body == calls[1].body);
  CHECK(text_at(calls[1].body, "id") == calls[1].id);
  CHECK(text_at(calls[1].body, "type") == "falproxy.job.completed");
  CHECK(text_at(calls[1].body, "data.id") == job);
  CHECK(text_at(calls[1].body, "data.response.data.0.url").starts_with("http"));
  const std::string secret =
      *OpensslCodecs().decode_base64(base64_hmac(std::string(access_key), "falproxy callback"));
  for (const Listener::Call& call : calls)
    CHECK(call.signature ==
          "v1," + base64_hmac(secret, call.id + "." + call.time + "." + call.body));
  CHECK(served.log().find(std::string(access_key)) == std::string::npos);
}

TEST_CASE("the end of a job is told with addresses that open, if files are not public") {
  for (const char* const origin : {"", "https://pictures.example.com"}) {
    CAPTURE(origin);
    const testing::Folder folder;
    const Listener listener;
    const Served served(
        Environment{{"CALLBACK_HOSTS", listener.origin()},
                    {"STATE_DIR", folder.at("state")},
                    {"PUBLIC_URL", origin},
                    {"MEDIA_STORE", "dir:" + folder.at("media") + "?access=signed"}},
        falsim::Falsim::start(Served::quick()).value(),
        [](const falsim::Falsim& sim) { return Environment{{"FAL_API_URL", sim.api_url()}}; });
    begin_job(served, lighthouse, respond_async + listener.field());
    wait_until([&] { return listener.calls().size() == 1; });
    const std::string address = text_at(listener.calls().front().body, "data.response.data.0.url");
    CAPTURE(address);
    const bool is_own = address.starts_with("https://pictures.example.com/media/") &&
                        address.find("expires=") != std::string::npos;
    CHECK(is_own == !std::string_view(origin).empty());
    CHECK((is_own || address.find("?identity=") != std::string::npos));
  }
}

TEST_CASE("a key that was made over the network has its callbacks signed, too") {
  const Listener listener(std::vector<int>{});
  const Served served(
      Environment{{"CALLBACK_HOSTS", listener.origin()}, {"ADMIN_KEY", "the-operators-own-key"}});
  const Received made = RawClient(served.port())
                            .exchange(test::post("/v1/falproxy/keys", R"({"name":"bob"})",
                                                 key_field("the-operators-own-key")));
  const std::string key = text_at(made.body, "key");
  REQUIRE(key.size() > 10);
  const Received begun =
      RawClient(served.port())
          .exchange(test::post(pictures_route, lighthouse,
                               key_field(key) + respond_async + listener.field()));
  CAPTURE(begun.body);
  REQUIRE(begun.status == 202);
  wait_until([&] { return listener.calls().size() == 1; });
  const Listener::Call call = listener.calls().front();
  const std::string secret = *OpensslCodecs().decode_base64(base64_hmac(key, "falproxy callback"));
  CHECK(call.signature == "v1," + base64_hmac(secret, call.id + "." + call.time + "." + call.body));
}

TEST_CASE("a callback that cannot be made is refused before anything is paid") {
  const Served served(Environment{{"CALLBACK_HOSTS", "hooks.example.com"}});
  const auto fault = [&](const std::string& address, const std::string& more = respond_async) {
    const Received got =
        served.post(pictures_route, lighthouse, more + "X-Falproxy-Callback: " + address + "\r\n");
    CHECK(text_at(got.body, "error.param") == "X-Falproxy-Callback");
    return got.status;
  };
  CHECK(fault("https://elsewhere.example.com/") == 400);
  CHECK(fault("http://hooks.example.com/") == 400);
  CHECK(fault("hooks") == 400);
  CHECK(fault("https://hooks.example.com/a", "") == 400);
  const Served nobody;
  CHECK(text_at(nobody
                    .post(pictures_route, lighthouse,
                          respond_async + "X-Falproxy-Callback: https://a.example/\r\n")
                    .body,
                "error.message")
            .find("CALLBACK_HOSTS") != std::string::npos);
  CHECK(served.sim.submits().empty());
}

TEST_CASE("a server that stops leaves its jobs to fal, and the next one has them") {
  const testing::Folder folder;
  const Environment noting{{"STATE_DIR", folder.path().string()}};
  auto served = std::make_unique<Served>(noting, never_ending());
  const std::string job = begin_job(*served);
  wait_until([&] {
    return text_at(served->get("/v1/falproxy/jobs/" + job).body, "status") == "in_progress";
  });
  served->service->stop(Milliseconds(0));
  served->service.reset();
  CHECK(served->sim.stats().cancelled == 0);
  const Served next(noting, std::move(served->sim),
                    [](const falsim::Falsim&) { return Environment(); });
  wait_until([&] {
    return text_at(next.get("/v1/falproxy/jobs/" + job).body, "status") == "in_progress";
  });
  CHECK(next.sim.submits().size() == 1);
}

TEST_CASE(
    "the operator sees in one list what is under way of all keys, also since before a restart") {
  const testing::Folder folder;
  const Environment noting{{"STATE_DIR", folder.path().string()},
                           {"ADMIN_KEY", "the-operators-own-key"},
                           {"ACCESS_KEYS", "other=another-access-key-1"}};
  const auto ask = [](const Served& served, const std::string& request) {
    return RawClient(served.port()).exchange(request);
  };
  const std::string admin = key_field("the-operators-own-key");
  const std::string theirs = key_field("another-access-key-1");
  const std::string list = "/v1/falproxy/jobs?key=*";
  auto served = std::make_unique<Served>(noting, never_ending());
  const std::string mine = begin_job(*served);
  const Received begun =
      ask(*served, test::post(pictures_route, lighthouse, theirs + respond_async));
  REQUIRE(begun.status == 202);
  const std::string other = text_at(begun.body, "id");
  const Received all = ask(*served, test::get(list, admin));
  CAPTURE(all.body);
  CHECK(at(all.body, "data").size() == 2);
  CHECK(text_at(all.body, "data.0.id") == other);
  CHECK(text_at(all.body, "data.0.key") == "other");
  CHECK(text_at(all.body, "data.1.id") == mine);
  CHECK(text_at(all.body, "data.1.key") == "default");
  CHECK(at(all.body, "data.1.recovered").is_null());
  CHECK(at(all.body, "has_more").as_boolean() == false);
  const Received first = ask(*served, test::get(list + "&limit=1", admin));
  CHECK(at(first.body, "data").size() == 1);
  CHECK(at(first.body, "has_more").as_boolean() == true);
  for (const char* wrong : {"&after=job_x", "&order=asc"}) {
    const Received refused = ask(*served, test::get(list + wrong, admin));
    CHECK(refused.status == 400);
    CHECK(text_at(refused.body, "error.message").find("one page") != std::string::npos);
  }
  // Nobody else: an access key has no key of that name.
  CHECK(at(ask(*served, test::get(list, theirs)).body, "data").size() == 1);

  served->service->stop(Milliseconds(0));
  served->service.reset();
  const Served next(noting, std::move(served->sim),
                    [](const falsim::Falsim&) { return Environment(); });
  for (const auto& [job, key] : {std::pair(mine, key_field()), std::pair(other, theirs)}) {
    const std::string address = "/v1/falproxy/jobs/" + job, field = key;
    wait_until([&] {
      return text_at(ask(next, test::get(address, field)).body, "status") == "in_progress";
    });
  }
  const Received left = ask(next, test::get(list, admin));
  CAPTURE(left.body);
  CHECK(at(left.body, "data").size() == 2);
  CHECK(at(left.body, "data.0.recovered").as_boolean() == true);
  const auto cancel = [&](const std::string& job, const std::string& key) {
    return ask(next, "DELETE /v1/falproxy/jobs/" + job + "?key=" + key +
                         " HTTP/1.1\r\nHost: a\r\n" + admin + "Connection: close\r\n\r\n");
  };
  CHECK(text_at(cancel(other, "other").body, "status") == "cancelled");
  CHECK(at(ask(next, test::get(list, admin)).body, "data").size() == 1);
  CHECK(text_at(cancel(mine, "default").body, "status") == "cancelled");
}

TEST_CASE("over a store on disk a cancel is seen at once, and an end is told once") {
  const testing::Folder folder;
  const Listener listener;
  const Served served(
      {{"STATE_DIR", folder.path().string()}, {"CALLBACK_HOSTS", listener.origin()}},
      never_ending());
  for (int i = 0; i < 5; ++i) {
    const std::string job = begin_job(served, lighthouse, respond_async + listener.field());
    RawClient client(served.port());
    const Received got =
        client.exchange("DELETE /v1/falproxy/jobs/" + job + " HTTP/1.1\r\nHost: a\r\n" +
                        key_field() + "Connection: close\r\n\r\n");
    CHECK(text_at(got.body, "status") == "cancelled");
  }
  wait_until([&] { return listener.calls().size() >= 5; });
  begin_job(served);  // what would be told twice is told by then
  CHECK(listener.calls().size() == 5);
}

TEST_CASE("falproxy jobs lists, follows and cancels") {
  const testing::Folder folder;
  const Served served;
  const std::string job = begin_job(served);
  const std::string env = folder.write(
      "jobs.env",
      "CUSTOM_ACCESS_KEY=" + std::string(access_key) +
          "\nAI_KEYS=a:b\nSUPPORTED_MODELS=flux:fal-ai/flux/dev\nHOST=127.0.0.1\nPORT=" +
          std::to_string(served.port()) + "\n");
  const auto say_jobs = [&](CommandLine line) {
    line.command = Command::jobs;
    line.env_file = env;
    std::istringstream in;
    std::ostringstream out, err;
    const int status = run_jobs(line, RealSurroundings().surroundings(in, out, err));
    return std::to_string(status) + " " + out.str() + err.str();
  };
  const std::string followed = say_jobs({.job = job});
  CHECK(followed.starts_with("0 "));
  CHECK(followed.find("\"status\": \"completed\"") != std::string::npos);
  const std::string listed = say_jobs({});
  CHECK(listed.find(job + "  completed  100%") != std::string::npos);
  CHECK(say_jobs({.job = job, .cancel = true}).find("completed") != std::string::npos);
  CHECK(say_jobs({.job = "job_1"}).find("No such job") != std::string::npos);
  CHECK(say_jobs({.key_name = "nobody"}).find("'nobody'") != std::string::npos);
}

TEST_CASE("speech that need not be waited for is told by its address, as the model makes it") {
  const Environment tale{{"SUPPORTED_MODELS", "tale:falsim/storyteller"}};
  const Served served(tale);
  const std::string speech = R"({"model":"tale","input":"Good morning, harbour.")";
  const Received got = served.post("/v1/audio/speech", speech + "}", respond_async);
  REQUIRE_MESSAGE(got.status == 202, got.body);
  CHECK(text_at(got.body, "request") == "audio.speech");
  const Received ended = wait_for_end(served, text_at(got.body, "id"));
  CHECK(text_at(ended.body, "status") == "completed");
  CHECK(text_at(ended.body, "response.data.0.url").ends_with(".wav"));
  // Nothing is made of it here.
  const Received flac =
      served.post("/v1/audio/speech", speech + R"(,"response_format":"flac"})", respond_async);
  CHECK(flac.status == 400);
  CHECK(text_at(flac.body, "error.param") == "response_format");
  CHECK(served.sim.stats().submits == 1);
}

}  // namespace falproxy::app
