// Pictures in a chat, over real sockets and falsim.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

constexpr const char* chats = "/v1/chat/completions";

const Environment chat_models{
    {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"}};

std::string chat_with(const std::string& members, const std::string& prompt = "a lighthouse") {
  return R"({"model":"flux","messages":[{"role":"user","content":")" + prompt + "\"}]" +
         (members.empty() ? "" : "," + members) + "}";
}

// The data of each event of a stream.
std::vector<std::string> data_of(const std::string& stream) {
  std::vector<std::string> all;
  for (std::size_t at = stream.find("data: "); at != std::string::npos;
       at = stream.find("data: ", at)) {
    const std::size_t end = stream.find('\n', at);
    all.push_back(stream.substr(at + 6, end - at - 6));
    at = end;
  }
  return all;
}

falsim::Fault failing_chat_job() {
  falsim::Fault fault;
  fault.step = falsim::Step::submit;
  fault.job.error = "the model is broken";
  fault.job.error_type = "internal_error";
  return fault;
}

}  // namespace

TEST_CASE("a chat with a picture model brings the picture in both forms, and costs one job") {
  Served served(chat_models);
  const Received got = served.post(chats, chat_with(R"("temperature":1,"max_tokens":1000)"));
  CAPTURE(got.body.substr(0, 300));
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "object") == "chat.completion");
  CHECK(text_at(got.body, "model") == "flux");
  CHECK(text_at(got.body, "choices.0.finish_reason") == "stop");
  CHECK(text_at(got.body, "choices.0.message.content").starts_with("![image](" + served.sim.url()));
  CHECK(text_at(got.body, "choices.0.message.images.0.type") == "image_url");
  CHECK(text_at(got.body, "choices.0.message.images.0.image_url.url").starts_with("data:image/"));
  CHECK(served.sim.stats().submits == 1);
  CHECK(served.sim.submits()[0].input.find("temperature") == std::string::npos);
  CHECK(got.header("x-falproxy-model") == "flux");
}

TEST_CASE("who asks for images by modalities is shown them once") {
  Served served(chat_models);
  const Received got = served.post(chats, chat_with(R"("modalities":["image","text"])"));
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "choices.0.message.content").empty());
  CHECK(at(got.body, "choices.0.message.content").is_string());
  CHECK(at(got.body, "choices.0.message.images").size() == 1);
}

TEST_CASE("CHAT_IMAGES says how a picture is shown") {
  for (const char* word : {"images", "markdown", "both"}) {
    CAPTURE(word);
    Environment settings = chat_models;
    settings["CHAT_IMAGES"] = word;
    Served served(settings);
    const Received got = served.post(chats, chat_with(R"("modalities":["image"])"));
    REQUIRE(got.status == 200);
    const std::string form = word;
    CHECK(text_at(got.body, "choices.0.message.content").empty() == (form == "images"));
    CHECK((at(got.body, "choices.0.message.images").size() == 0) == (form == "markdown"));
    CHECK((served.sim.stats().media_requests == 0) == (form == "markdown"));
  }
}

TEST_CASE("a chat is streamed: the role first, the picture alone, the end") {
  falsim::FalsimOptions slow;
  slow.job_time = std::chrono::milliseconds(300);
  Served served(chat_models, slow);
  const Received got =
      served.post(chats, chat_with(R"("stream":true,"stream_options":{"include_usage":true})"));
  REQUIRE(got.status == 200);
  CHECK(got.header("content-type").starts_with("text/event-stream"));
  CHECK(got.body.find("\n: ") != std::string::npos);
  const std::vector<std::string> events = data_of(got.body);
  REQUIRE(events.size() == 6);
  CHECK(text_at(events[0], "choices.0.delta.role") == "assistant");
  CHECK(at(events[1], "choices.0.delta").size() == 1);
  CHECK(text_at(events[1], "choices.0.delta.images.0.image_url.url").starts_with("data:image/"));
  CHECK(text_at(events[2], "choices.0.delta.content").starts_with("![image](http"));
  CHECK(text_at(events[3], "choices.0.finish_reason") == "stop");
  CHECK(at(events[4], "usage.total_tokens").as_integer() == 0);
  CHECK(events[5] == "[DONE]");
  for (std::size_t i = 1; i < 5; ++i) CHECK(text_at(events[i], "id") == text_at(events[0], "id"));
}

TEST_CASE("n choices have one picture each") {
  Served served(chat_models);
  const Received got = served.post(chats, chat_with(R"("n":2)"));
  REQUIRE(got.status == 200);
  CHECK(at(got.body, "choices").size() == 2);
  CHECK(at(got.body, "choices.1.index").as_integer() == 1);
  CHECK(at(got.body, "choices.1.message.images").size() == 1);
}

TEST_CASE("a chat goes on with the picture of the answer before, if the model can edit") {
  Served served(chat_models);
  served.wait_for_documents();
  const Received first = served.post(chats, chat_with({}));
  const std::string shown = text_at(first.body, "choices.0.message.content");
  for (const char* model : {"nano", "flux"}) {
    CAPTURE(model);
    const Received got =
        served.post(chats, R"({"model":")" + std::string(model) +
                               R"(","messages":[{"role":"user","content":"a lighthouse"},)"
                               R"({"role":"assistant","content":")" +
                               shown + R"("},{"role":"user","content":"make it blue"}]})");
    CAPTURE(got.body.substr(0, 300));
    REQUIRE(got.status == 200);
    const auto submit = served.sim.submits().back();
    const bool edits = std::string(model) == "nano";
    CHECK(submit.endpoint == (edits ? "fal-ai/nano-banana/edit" : "fal-ai/flux/dev"));
    CHECK((submit.input.find(served.sim.url() + "/files/") != std::string::npos) == edits);
    CHECK(submit.input.find("make it blue") != std::string::npos);
  }
}

TEST_CASE("a chore costs no job, streamed or not") {
  Served served(chat_models);
  const std::string chore =
      R"(### Task:\nGenerate a title.\nJSON format: { \"title\": \"x\" }\n<chat_history>\nUSER: a fox\n</chat_history>)";
  const Received got = served.post(chats, chat_with({}, chore));
  CHECK(got.status == 200);
  CHECK(text_at(got.body, "choices.0.message.content") == R"({"title":"a fox"})");
  CHECK(got.header("x-falproxy-notes").find("without a job") != std::string::npos);
  const Received streamed = served.post(chats, chat_with(R"("stream":true)", chore));
  const std::vector<std::string> events = data_of(streamed.body);
  REQUIRE(events.size() == 4);
  CHECK(text_at(events[1], "choices.0.delta.content") == R"({"title":"a fox"})");
  CHECK(events[3] == "[DONE]");
  CHECK(served.sim.stats().submits == 0);
}

TEST_CASE("a model that is not there is told in chat's words") {
  Served served(chat_models);
  const Received got =
      served.post(chats, R"({"model":"gpt-5","messages":[{"role":"user","content":"a"}]})");
  CHECK(got.status == 404);
  CHECK(text_at(got.body, "error.code") == "model_not_found");
  CHECK(text_at(got.body, "error.param") == "model");
}

TEST_CASE("what fails once fal has the job is answered 400 to clients that repeat the rest") {
  Served served(chat_models);
  served.sim.add_fault(failing_chat_job());
  const Received chat = served.post(chats, chat_with({}));
  CHECK(chat.status == 400);
  CHECK(chat.header("x-should-retry") == "false");
  CHECK(text_at(chat.body, "error.code") == "image_generation_failed");
  CHECK(served.sim.stats().submits == 1);
  CHECK(served.post("/v1/images/generations", lighthouse).status == 502);
  CHECK(served
            .post("/v1/images/generations", R"({"model":"flux","prompt":"b"})",
                  "User-Agent: ai/7.0 runtime/node\r\n")
            .status == 400);
}

TEST_CASE("a picture that cannot be fetched is still shown by its address, unless that is no use") {
  Served served(chat_models);
  falsim::Fault gone;
  gone.step = falsim::Step::media;
  gone.answer = falsim::Answer{.status = 404};
  served.sim.add_fault(gone);
  const Received shown = served.post(chats, chat_with({}), "x-request-timeout: 5\r\n");
  CHECK(shown.status == 200);
  CHECK(text_at(shown.body, "choices.0.message.content").starts_with("![image]("));
  const Received alone = served.post(chats, chat_with(R"("modalities":["image"])", "a fox"),
                                     "x-request-timeout: 5\r\n");
  CHECK(alone.status == 400);
  CHECK(alone.header("x-should-retry") == "false");
  CHECK(text_at(alone.body, "error.code") == "image_download_failed");
}

TEST_CASE(
    "a stream that fails before fal has the job has a status of its own, and later an error") {
  Served served(chat_models);
  CHECK(served.post(chats, R"({"model":"flux","stream":true,"messages":[]})").status == 400);
  served.sim.set_times(std::chrono::milliseconds(0), std::chrono::milliseconds(300));
  served.sim.add_fault(failing_chat_job());
  const Received got = served.post(chats, chat_with(R"("stream":true)"));
  CHECK(got.status == 200);
  const std::vector<std::string> events = data_of(got.body);
  REQUIRE(events.size() == 2);
  CHECK(text_at(events[1], "error.code") == "image_generation_failed");
}

TEST_CASE("Azure's addresses name the model, and win over the body") {
  Served served(chat_models);
  const std::string query = "?api-version=2025-04-01-preview";
  const Received got = served.post("/openai/deployments/nano/chat/completions" + query,
                                   chat_with({}), "api-key: other\r\n");
  CHECK(got.status == 200);
  CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana");
  const Received picture =
      served.post("/openai/deployments/nano/images/generations" + query, lighthouse);
  CHECK(picture.status == 200);
  CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana");
  for (const char* path : {"/openai/deployments/none/images/generations",
                           "/openai/deployments/none/chat/completions"}) {
    const Received unknown = served.post(path, chat_with(R"("prompt":"a")"));
    CHECK(unknown.status == 404);
    CHECK(text_at(unknown.body, "error.code") == "DeploymentNotFound");
  }
}

TEST_CASE("a deployment names the model of a form and of a speech, too, which may name none") {
  Served served(Environment{{"SUPPORTED_MODELS",
                             "nano:fal-ai/nano-banana+fal-ai/nano-banana/edit,"
                             "tts/one:falsim/storyteller"}});
  const std::string body =
      "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nblue\r\n"
      "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n" +
      served.sim.url() + "/files/a.png\r\n--b--\r\n";
  RawClient client(served.port());
  client.send("POST /openai/deployments/nano/images/edits?api-version=1 HTTP/1.1\r\nHost: a\r\n" +
              key_field() + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  CHECK(client.receive().status == 200);
  CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana/edit");
  CHECK(served.post("/openai/deployments/tts%2Fone/audio/speech", R"({"input":"Good morning."})")
            .status == 200);
  CHECK(served.sim.submits().back().endpoint == "falsim/storyteller");
}

TEST_CASE("of two choices whose streams have begun the one that failed ends, too") {
  falsim::FalsimOptions slow;
  slow.job_time = std::chrono::milliseconds(300);
  Served served(Environment{{"SUPPORTED_MODELS", "vidu:vidu/q2/text-to-image"}}, slow);
  falsim::Fault failing = failing_chat_job();
  failing.times = 1;
  served.sim.add_fault(failing);
  const Received got = served.post(
      chats, R"({"model":"vidu","messages":[{"role":"user","content":"a"}],"n":2,"stream":true})");
  REQUIRE(got.status == 200);
  std::vector<bool> ended(2);
  for (const std::string& data : data_of(got.body)) {
    if (text_at(data, "choices.0.finish_reason") == "stop")
      ended.at(static_cast<std::size_t>(*at(data, "choices.0.index").as_integer())) = true;
  }
  CHECK(ended[0]);
  CHECK(ended[1]);
  CHECK(served.sim.stats().submits == 2);
}

}  // namespace falproxy::app
