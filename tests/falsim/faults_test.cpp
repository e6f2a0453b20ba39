#include "faults.hpp"

#include <fstream>
#include <sstream>

#include "client.hpp"

using namespace falsim_test;
using falsim::FalsimStats;
using falsim::Fault;
using falsim::Step;

namespace {

Fault preset(const char* name) {
  const std::optional<Fault> fault = Fault::preset(name);
  REQUIRE(fault.has_value());
  return *fault;
}

const json good_input = {{"prompt", "a lighthouse"}};

}  // namespace

TEST_CASE("a fault answers in place of falsim, and the request does nothing") {
  struct Case {
    const char* name;
    int status;
    bool from_fal;
    const char* says;
  };
  const Case cases[] = {
      {"rate_limited", 429, true, "concurrent_requests_limit"},
      {"bad_key", 401, true, "No user found for Key ID and Secret"},
      {"exhausted", 403, true, "User is locked. Reason: Exhausted balance."},
      {"ingress_502", 502, false, "<html>"},
      {"ingress_503", 503, false, "<html>"},
      {"ingress_504", 504, false, "<html>"},
      {"queue_500", 500, true, "internal_error"},
      {"queue_503", 503, true, "runner_scheduling_failure"},
      {"queue_html", 200, true, "maintenance"},
      {"submit_redirect", 307, true, ""},
  };
  Falsim sim = start();
  Client client(sim.url());
  for (const Case& c : cases) {
    CAPTURE(c.name);
    sim.add_fault(preset(c.name));
    const Heard answer = client.post("/fal-ai/flux/dev", good_input);
    CHECK(answer.status == c.status);
    CHECK(answer.body.find(c.says) != std::string::npos);
    CHECK(answer.header("x-fal-request-id").empty() == !c.from_fal);
    sim.clear_faults();
  }
  CHECK(sim.stats().submits == 0);
  CHECK(sim.stats().faults.size() == std::size(cases));
  CHECK(sim.submits().size() == std::size(cases));
}

TEST_CASE("a redirect leads to the host that nobody should call") {
  Falsim sim = start();
  sim.add_fault(preset("submit_redirect"));
  CHECK(Client(sim.url()).post("/fal-ai/flux/dev", good_input).header("location") ==
        sim.elsewhere_url() + "/somewhere.png");
}

TEST_CASE("a fault strikes whom, how often and when it says") {
  Falsim sim = start();
  Client client(sim.url());
  const auto status = [&](const char* endpoint, const char* prompt, const char* key) {
    return client.post(std::string("/") + endpoint, {{"prompt", prompt}}, with_key(key)).status;
  };
  Fault fault = preset("rate_limited");
  fault.key = "key-1:a";
  fault.endpoint = "fal-ai/flux/dev";
  fault.prompt = "cat";
  fault.skip = 1;
  fault.times = 2;
  sim.add_fault(fault);
  CHECK(status("fal-ai/flux/dev", "a cat", "key-1:a") == 200);  // spared
  CHECK(status("fal-ai/flux/dev", "a cat", "key-2:b") == 200);
  CHECK(status("fal-ai/fast-sdxl", "a cat", "key-1:a") == 200);
  CHECK(status("fal-ai/flux/dev", "a dog", "key-1:a") == 200);
  CHECK(status("fal-ai/flux/dev", "a cat", "key-1:a") == 429);
  CHECK(status("fal-ai/flux/dev", "a cat", "key-1:a") == 429);
  CHECK(status("fal-ai/flux/dev", "a cat", "key-1:a") == 200);
  CHECK(sim.stats().faults == std::map<std::string, std::uint64_t>{{"rate_limited", 2}});
}

TEST_CASE("a fault by chance strikes about as often as it says") {
  falproxy::testing::FaultTable table(1);
  Fault fault = preset("ingress_503");
  fault.chance = 0.25;
  table.add(fault);
  int struck = 0;
  for (int i = 0; i < 4000; ++i) struck += table.strike({.step = Step::submit}) != nullptr;
  CHECK(struck > 850);
  CHECK(struck < 1150);
}

TEST_CASE("a prompt asks for faults, and counts over repeated submits") {
  Falsim sim = start({.job_time = 60s});
  Client client(sim.url());
  const json input = {
      {"prompt",
       "a cat falsim:ingress_503*2, falsim:job_time=0 falsim:nonsense falsim:result_html*1"}};
  CHECK(client.post("/fal-ai/flux/dev", input).status == 503);
  CHECK(client.post("/fal-ai/flux/dev", input).status == 503);
  const json job = client.submit("fal-ai/flux/dev", input);
  CHECK(client.wait(job)["status"] == "COMPLETED");
  CHECK(client.get(job["response_url"]).body.find("maintenance") != std::string::npos);
  CHECK(client.get(job["response_url"]).parsed()["images"].size() == 1);
}

TEST_CASE("jobs end as the fault says") {
  struct Case {
    const char* name;
    const char* error_type;  // in the status
    int result;
    const char* says;
  };
  const Case cases[] = {
      {"job_error", "runner_server_error", 500, "Runner exited"},
      {"job_disconnected", "runner_disconnected", 500, "Runner disconnected"},
      {"job_invalid", nullptr, 422, "value_error"},
      {"job_500", nullptr, 500, "Internal Server Error"},
      {"content_policy", nullptr, 422, "content_policy_violation"},
      {"no_media", nullptr, 422, "no_media_generated"},
      {"no_images", nullptr, 200, R"("images":[])"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Falsim sim = start();
    Client client(sim.url());
    sim.add_fault(preset(c.name));
    const json job = client.submit("fal-ai/flux/dev", good_input);
    const json status = client.wait(job);
    CHECK(status["status"] == "COMPLETED");
    CHECK(status.contains("error_type") == (c.error_type != nullptr));
    if (c.error_type != nullptr) CHECK(status["error_type"] == c.error_type);
    const Heard result = client.get(job["response_url"]);
    CHECK(result.status == c.result);
    CHECK(result.body.find(c.says) != std::string::npos);
    CHECK(sim.stats().failed + sim.stats().completed == 1);
  }
}

TEST_CASE("a cold start keeps a job waiting") {
  Falsim sim = start();
  Client client(sim.url());
  sim.add_fault(preset("cold_start"));
  const json job = client.submit("fal-ai/flux/dev", good_input);
  CHECK(client.get(job["status_url"]).parsed()["status"] == "IN_QUEUE");
}

TEST_CASE("a job that ignores its cancel goes on") {
  Falsim sim = start({.job_time = 1s});
  Client client(sim.url());
  sim.add_fault(preset("ignores_cancel"));
  const json job = client.submit("fal-ai/flux/dev", good_input);
  CHECK(client.put(job["cancel_url"]).status == 202);
  CHECK(client.wait(job)["status"] == "COMPLETED");
  CHECK(client.get(job["response_url"]).status == 200);
}

TEST_CASE("addresses lead elsewhere") {
  Falsim sim = start();
  Client client(sim.url());
  const auto submit = [&](const char* fault) {
    return client.submit("fal-ai/flux/dev", {{"prompt", std::string("falsim:") + fault}});
  };
  const std::string& elsewhere = sim.elsewhere_url();
  CHECK(submit("elsewhere_status")["status_url"].get<std::string>().starts_with(
      elsewhere + "/fal-ai/flux/requests/"));
  CHECK(submit("elsewhere_result")["response_url"].get<std::string>().starts_with(
      elsewhere + "/fal-ai/flux/requests/"));
  CHECK(submit("elsewhere_cancel")["cancel_url"].get<std::string>().starts_with(
      elsewhere + "/fal-ai/flux/requests/"));
  const json result = client.get(submit("elsewhere_images")["response_url"]).parsed();
  CHECK(result["images"][0]["url"].get<std::string>().starts_with(elsewhere + "/files/"));
  sim.add_fault(preset("elsewhere_upload"));
  const json begun = client
                         .post("/storage/upload/initiate?storage_type=fal-cdn-v3",
                               {{"content_type", "image/png"}, {"file_name", "a.png"}})
                         .parsed();
  CHECK(begun["upload_url"].get<std::string>().starts_with(elsewhere + "/upload/"));
  CHECK(begun["file_url"].get<std::string>().starts_with(sim.url() + "/files/"));
}

TEST_CASE("the wire breaks where the fault says, and the account book knows what was done") {
  struct Case {
    const char* name;
    bool whole_request;  // the client sends its body too
    bool reset;
    std::uint64_t submits;
    std::size_t seen;
  };
  const Case cases[] = {
      {"submit_reset_unread", false, true, 0, 1},
      {"submit_close_unread", false, false, 0, 1},
      {"submit_reset", true, true, 0, 1},
      {"submit_reads_and_closes", true, false, 0, 1},
      {"submit_accepts_and_closes", true, false, 1, 1},
  };
  const std::string request = request_text("POST /fal-ai/flux/dev", R"({"prompt":"x"})");
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Falsim sim = start();
    sim.add_fault(preset(c.name));
    Wire wire(sim.url());
    wire.send(c.whole_request ? request : request.substr(0, request.find('{')));
    CHECK(wire.read_to_end().empty());
    CHECK(wire.was_reset() == c.reset);
    CHECK(sim.stats().submits == c.submits);
    CHECK(sim.submits().size() == c.seen);
    CHECK(sim.stats().faults.at(c.name) == 1);
  }
}

TEST_CASE("no fault strikes falsim's own addresses") {
  for (const char* name : {"submit_reset_unread", "submit_close_unread"}) {
    CAPTURE(name);
    Falsim sim = start();
    sim.add_fault(preset(name));
    CHECK(Client(sim.url()).get("/_falsim/stats").status == 200);
    CHECK(sim.stats().faults.empty());
  }
}

TEST_CASE("silence is silence, and the work is done all the same") {
  Falsim sim = start();
  sim.add_fault(preset("submit_silence"));
  Wire wire(sim.url());
  wire.send(request_text("POST /fal-ai/flux/dev", R"({"prompt":"x"})"));
  CHECK(sim.wait_for([](const FalsimStats& s) { return s.submits == 1; }));
  CHECK(wire.is_silent_for(100ms));
}

TEST_CASE("answers are cut, dripped and late") {
  Falsim sim = start();
  Client client(sim.url());
  const json job = client.submit("fal-ai/flux/dev", good_input);
  const std::string path = job["response_url"].get<std::string>().substr(sim.url().size());
  const std::string whole = client.get(path).body;

  sim.add_fault(preset("result_truncated"));
  {
    Wire wire(sim.url());
    wire.send(request_text("GET " + path, ""));
    const auto [head, body] = wire.read_answer();
    CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(body.size() <= 40);
    CHECK(wire.was_reset());
  }
  sim.clear_faults();
  sim.add_fault({.name = "drip", .step = Step::result, .drip_bytes = 50, .drip_tick = 1ms});
  CHECK(client.get(path).body == whole);
  sim.clear_faults();
  sim.add_fault({.name = "late", .step = Step::result, .delay = 120ms});
  const auto before = std::chrono::steady_clock::now();
  CHECK(client.get(path).body == whole);
  CHECK(std::chrono::steady_clock::now() - before >= 120ms);
}

TEST_CASE("streams die, end and stall after their first event") {
  struct Case {
    const char* name;
    bool reset, ended;
  };
  for (const Case& c : {Case{"stream_dies", true, false}, Case{"stream_ends", false, true},
                        Case{"stream_stalls", false, false}}) {
    CAPTURE(c.name);
    Falsim sim = start({.job_time = 60s, .ping_interval = 10ms});
    Client client(sim.url());
    sim.add_fault(preset(c.name));
    const json job = client.submit("fal-ai/flux/dev", good_input);
    Wire wire(sim.url());
    wire.send(request_text(
        "GET " + job["status_url"].get<std::string>().substr(sim.url().size()) + "/stream", "",
        "Connection: close\r\n"));
    CHECK(wire.read_until("\n\n\r\n").find("IN_PROGRESS") != std::string::npos);
    if (c.reset || c.ended) {
      CHECK(wire.read_to_end() == (c.ended ? "0\r\n\r\n" : ""));
      CHECK(wire.was_reset() == c.reset);
    } else {
      CHECK(wire.is_silent_for(150ms));
    }
  }
  for (const char* name : {"stream_refused", "stream_unknown", "stream_locked"}) {
    CAPTURE(name);
    Falsim sim = start();
    Client client(sim.url());
    sim.add_fault(preset(name));
    const json job = client.submit("fal-ai/flux/dev", good_input);
    CHECK(client.get(job["status_url"].get<std::string>() + "/stream").status >= 400);
    CHECK(client.wait(job)["status"] == "COMPLETED");
  }
}

TEST_CASE("media and documents fail") {
  Falsim sim = start();
  Client client(sim.url());
  const char* picture = "/files/koala/x-0_64x64_1.png";
  const char* document = "/api/openapi/queue/openapi.json?endpoint_id=fal-ai/flux/dev";
  const auto with = [&](const char* fault, const char* path) {
    sim.clear_faults();
    sim.add_fault(preset(fault));
    return client.get(path, {});
  };
  CHECK(with("media_404", picture).status == 404);
  CHECK(with("media_500", picture).status == 500);
  CHECK(with("media_html", picture).header("content-type") == "text/html");
  CHECK(with("media_redirect", picture).header("location").starts_with(sim.elsewhere_url()));
  CHECK(with("media_reset", picture).status == 0);
  CHECK(with("media_truncated", "/files/koala/x-0_640x640_1.png").status == 0);
  CHECK(with("document_404", document).status == 404);
  CHECK(with("document_html", document).body.starts_with("<html>"));
  CHECK(with("document_truncated", document).status == 0);
  sim.clear_faults();
  CHECK(client.get(picture, {}).status == 200);
}

TEST_CASE("faults are set and the book is read over HTTP") {
  Falsim sim = start();
  Client client(sim.url());
  const json faults = {
      {{"preset", "rate_limited"}, {"times", 1}, {"key", good_key}},
      {{"name", "mine"},
       {"step", "submit"},
       {"times", 1},
       {"answer", {{"status", 418}, {"body", "teapot"}, {"headers", {{"x-tea", "green"}}}}}},
      {{"name", "slow"},
       {"job", {{"job_time", 50}, {"error", "no"}, {"error_type", "bad_request"}}}},
  };
  CHECK(client.post("/_falsim/faults", faults, {}).status == 200);
  CHECK(client.post("/fal-ai/flux/dev", good_input).status == 429);
  const Heard teapot = client.post("/fal-ai/flux/dev", good_input);
  CHECK(teapot.status == 418);
  CHECK(teapot.header("x-tea") == "green");
  CHECK(client.wait(client.submit("fal-ai/flux/dev", good_input))["error_type"] == "bad_request");
  const json stats = client.get("/_falsim/stats", {}).parsed();
  CHECK(stats["faults"] == json{{"mine", 1}, {"rate_limited", 1}, {"slow", 1}});
  CHECK(stats["submits"] == 1);
  CHECK(stats["submits_refused"] == 2);
  CHECK(client.get("/_falsim/submits", {}).parsed().size() == 3);

  CHECK(client.raw().Delete("/_falsim/faults")->status == 200);
  CHECK(client.raw().Delete("/_falsim/stats")->status == 200);
  CHECK(sim.stats().submits == 0);
  CHECK(sim.stats().faults.empty());

  const json wrong[] = {"text",
                        {{"preset", "nonsense"}},
                        {{"step", "nowhere"}},
                        {{"wire", 1}},
                        {{"tmies", 1}},
                        {{"times", "often"}},
                        {{"answer", {{"status", "bad"}}}},
                        {{"job", {{"job_time", "long"}}}},
                        {{"answer", {{"headers", {{"a", 1}}}}}},
                        {{"job", {{"result", {{"code", 1}}}}}}};
  for (const json& fault : wrong) {
    CAPTURE(fault.dump());
    CHECK(client.post("/_falsim/faults", fault, {}).status == 400);
  }
}

TEST_CASE("every preset does something, and docs/falsim.md has it") {
  std::ifstream file(std::string(FALPROXY_SOURCE_DIR) + "/docs/falsim.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string page = text.str();
  REQUIRE(!page.empty());
  for (const std::string& name : Fault::preset_names()) {
    CAPTURE(name);
    Fault fault = preset(name.c_str());
    CHECK(fault.name == name);
    fault.name.clear();
    fault.step = Step::any;
    CHECK(fault != Fault{});
    CHECK(page.find("`" + name + "`") != std::string::npos);
  }
}
