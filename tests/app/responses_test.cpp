// Responses with the image tool, over real sockets and falsim.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "falproxy/system_clock.hpp"
#include "folder.hpp"
#include "served.hpp"
#include "support/changed_store.hpp"

namespace falproxy::app {
namespace {

using namespace test;

constexpr const char* responses = "/v1/responses";

const Environment response_models{
    {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"},
    {"ACCESS_KEYS", "other=other-key-of-16-letters"}};
const std::string with_tool =
    R"(,"tools":[{"type":"image_generation","model":"nano","output_format":"png","image_id":"x"}]})";

std::string with_input(const std::string& input) { return R"({"model":"gpt-5","input":)" + input; }

struct Event {
  std::string type, data;
};
std::vector<Event> events_in(const std::string& stream) {
  std::vector<Event> all;
  for (std::size_t at = stream.find("event: "); at != std::string::npos;
       at = stream.find("event: ", at)) {
    const std::size_t line = stream.find('\n', at);
    const std::size_t end = stream.find('\n', line + 1);
    all.push_back({stream.substr(at + 7, line - at - 7), stream.substr(line + 7, end - line - 7)});
    at = end;
  }
  return all;
}

}  // namespace

TEST_CASE("a response with the image tool has the call and an empty message") {
  Served served(response_models);
  const Received got = served.post(
      responses,
      with_input("\"a lighthouse\",\"instructions\":\"be kind\",\"metadata\":{\"a\":\"b\"}") +
          with_tool);
  CAPTURE(got.body.substr(0, 500));
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "object") == "response");
  CHECK(text_at(got.body, "status") == "completed");
  CHECK(text_at(got.body, "model") == "gpt-5");
  CHECK(text_at(got.body, "id").starts_with("resp_"));
  CHECK(text_at(got.body, "output.0.type") == "image_generation_call");
  CHECK(text_at(got.body, "output.0.id").starts_with("ig_"));
  CHECK(text_at(got.body, "output.0.action") == "generate");
  CHECK(text_at(got.body, "output.0.result").starts_with("iVBOR"));
  CHECK(text_at(got.body, "output.1.type") == "message");
  CHECK(text_at(got.body, "output.1.content.0.text").empty());
  CHECK(at(got.body, "output.1.content.0.annotations").is_array());
  CHECK(text_at(got.body, "instructions") == "be kind");
  CHECK(text_at(got.body, "metadata.a") == "b");
  CHECK(text_at(got.body, "tools.0.type") == "image_generation");
  CHECK(at(got.body, "usage.total_tokens").as_integer() == 0);
  for (const char* name : {"error", "incomplete_details", "max_output_tokens", "max_tool_calls",
                           "previous_response_id", "safety_identifier", "user"}) {
    CAPTURE(name);
    CHECK(Json::parse(got.body)->find(name).has_value());
    CHECK(at(got.body, name).is_null());
  }
  CHECK(got.header("x-falproxy-notes").find("image_id") != std::string::npos);
  CHECK(served.sim.submits().at(0).endpoint == "fal-ai/nano-banana");
}

TEST_CASE("who names no image tool reads the picture in the text") {
  Served served(response_models);
  const Received got = served.post(
      responses,
      R"({"model":"flux","input":[{"role":"developer","content":"x"},{"role":"user","content":[{"type":"input_text","text":"<environment_context>"}]},
      {"type":"message","role":"user","content":[{"type":"input_text","text":"a fox"}]}],"tools":[{"type":"function","name":"f"},{"type":"namespace"},{"type":"web_search"}]})");
  REQUIRE(got.status == 200);
  CHECK(text_at(got.body, "output.1.content.0.text").starts_with("![image](http"));
  CHECK(served.sim.submits().at(0).input.find("a fox") != std::string::npos);
  CHECK(served.sim.submits().at(0).input.find("environment") == std::string::npos);
}

TEST_CASE("the events of a response come in OpenAI's order, numbered without holes") {
  falsim::FalsimOptions slow;
  slow.job_time = std::chrono::milliseconds(300);
  Served served(response_models, slow);
  const Received got = served.post(responses, with_input("\"a fox\",\"stream\":true") + with_tool);
  REQUIRE(got.status == 200);
  const std::vector<Event> events = events_in(got.body);
  const std::vector<std::string> order{"response.created",
                                       "response.in_progress",
                                       "response.output_item.added",
                                       "response.image_generation_call.in_progress",
                                       "response.image_generation_call.generating",
                                       "response.image_generation_call.completed",
                                       "response.output_item.done",
                                       "response.output_item.added",
                                       "response.content_part.added",
                                       "response.output_text.done",
                                       "response.content_part.done",
                                       "response.output_item.done",
                                       "response.completed"};
  REQUIRE(events.size() == order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    CAPTURE(i);
    CHECK(events[i].type == order[i]);
    CHECK(text_at(events[i].data, "type") == order[i]);
    CHECK(at(events[i].data, "sequence_number").as_integer() == static_cast<std::int64_t>(i));
  }
  const std::string frame_id = text_at(events[0].data, "response.id");
  CHECK(frame_id == text_at(events[12].data, "response.id"));
  CHECK(text_at(events[2].data, "item.id") == text_at(events[6].data, "item.id"));
  CHECK(text_at(events[6].data, "item.result").starts_with("iVBOR"));
  CHECK(text_at(events[12].data, "response.output.0.result").starts_with("iVBOR"));
  CHECK(got.body.find("[DONE]") == std::string::npos);
}

TEST_CASE(
    "a response that fails once fal has the job says so by its events, and without a stream by "
    "400") {
  Served served(response_models);
  falsim::Fault failing;
  failing.step = falsim::Step::submit;
  failing.job.error = "the model is broken";
  served.sim.add_fault(failing);
  const Received got = served.post(responses, with_input("\"a fox\"") + with_tool);
  CHECK(got.status == 400);
  CHECK(got.header("x-should-retry") == "false");
  served.sim.set_times(std::chrono::milliseconds(0), std::chrono::milliseconds(300));
  const Received streamed =
      served.post(responses, with_input("\"a cat\",\"stream\":true") + with_tool);
  const std::vector<Event> events = events_in(streamed.body);
  REQUIRE(events.size() == 7);
  CHECK(events[5].type == "response.output_item.done");
  CHECK(events[6].type == "response.failed");
  CHECK(text_at(events[6].data, "response.status") == "failed");
  CHECK(text_at(events[6].data, "response.error.code") == "server_error");
  CHECK(text_at(events[6].data, "response.output.0.status") == "failed");
}

TEST_CASE(
    "the second turn finds the picture of the first by its response, its item or a reference") {
  Served served(response_models);
  const Received first = served.post(responses, with_input("\"a fox\"") + with_tool);
  const std::string resp = text_at(first.body, "id");
  const std::string item = text_at(first.body, "output.0.id");
  const std::string result = text_at(first.body, "output.0.result");
  const std::string say = R"({"role":"user","content":"make it blue"})";
  const std::vector<std::string> turns{
      with_input("\"make it blue\",\"previous_response_id\":\"" + resp + "\""),
      with_input(
          "[{\"role\":\"user\",\"content\":\"a fox\"},{\"type\":\"item_reference\",\"id\":\"" +
          item + "\"},{\"type\":\"item_reference\",\"id\":\"msg_1\"}," + say + "]"),
      with_input("[{\"role\":\"user\",\"content\":\"a "
                 "fox\"},{\"type\":\"image_generation_call\",\"id\":\"" +
                 item + "\",\"result\":null}," + say + "]"),
      with_input("[{\"role\":\"user\",\"content\":\"a "
                 "fox\"},{\"type\":\"image_generation_call\",\"id\":\"ig_x\",\"result\":\"" +
                 result + "\"}," + say + "]")};
  for (const std::string& turn : turns) {
    CAPTURE(turn.substr(0, 200));
    const Received got = served.post(responses, turn + with_tool);
    CAPTURE(got.body.substr(0, 200));
    REQUIRE(got.status == 200);
    CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana/edit");
    CHECK(text_at(got.body, "output.0.action") == "edit");
  }
  const std::string drawn =
      R"(,"tools":[{"type":"image_generation","model":"nano","action":"generate"}]})";
  CHECK(served.post(responses, turns[0] + drawn).status == 200);
  CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana");
}

TEST_CASE(
    "a response makes one picture, whatever a field of the model's own asks for, and says so") {
  Served served(response_models);
  const Received got =
      served.post(responses, with_input("\"a fox\",\"n\":2,\"num_images\":3") + with_tool);
  CAPTURE(got.body.substr(0, 300));
  REQUIRE(got.status == 200);
  REQUIRE(served.sim.submits().size() == 1);
  CHECK(at(served.sim.submits().at(0).input, "num_images").as_integer() == 1);
  CHECK(got.header("x-falproxy-notes").find("num_images: dropped: the answer has room for one") !=
        std::string::npos);
}

TEST_CASE("what another key has made, and what nobody has, look alike") {
  Served served(response_models);
  const Received first = served.post(responses, with_input("\"a fox\"") + with_tool);
  const std::string resp = text_at(first.body, "id");
  RawClient client(served.port());
  const Received foreign = client.exchange(
      post(responses, with_input("\"b\",\"previous_response_id\":\"" + resp + "\"") + with_tool,
           key_field("other-key-of-16-letters")));
  CHECK(foreign.status == 400);
  CHECK(text_at(foreign.body, "error.code") == "previous_response_not_found");
  CHECK(text_at(foreign.body, "error.param") == "previous_response_id");
  CHECK(text_at(foreign.body, "error.message") ==
        "Previous response with id '" + resp + "' not found.");
  const Received item = served.post(
      responses,
      with_input(R"([{"type":"item_reference","id":"ig_0123"},{"role":"user","content":"a"}])") +
          with_tool);
  CHECK(item.status == 404);
  CHECK(text_at(item.body, "error.param") == "input");
  CHECK(served.sim.stats().submits == 1);
}

TEST_CASE("what needs a store of responses, and what nobody could use, is refused unpaid") {
  Served served(response_models);
  for (const auto& [member, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("background":true)", "background"},
           {R"("conversation":"conv_1")", "conversation"},
           {R"("prompt":{"id":"pmpt_1"})", "prompt"},
           {R"("text":{"format":{"type":"json_schema"}})", "text.format"},
           {R"("tool_choice":{"type":"function","name":"f"})", "tool_choice"}}) {
    const std::string asked = member;
    CAPTURE(asked);
    const Received got = served.post(responses, with_input("\"a\"," + member) + with_tool);
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.param") == param);
  }
  CHECK(served
            .post(responses,
                  with_input(
                      R"([{"role":"user","content":[{"type":"input_image","file_id":"f"}]}])") +
                      with_tool)
            .status == 400);
  const Received unknown = served.post(responses, R"({"model":"gpt-5","input":"a"})");
  CHECK(unknown.status == 404);
  CHECK(text_at(unknown.body, "error.code") == "model_not_found");
  for (const char* choice : {"\"required\"", R"({"type":"image_generation"})"}) {
    const Received got = served.post(
        responses, with_input("\"a fox\",\"tool_choice\":" + std::string(choice)) + with_tool);
    CAPTURE(got.body.substr(0, 500));
    CHECK(got.status == 200);
  }
  CHECK(served.sim.stats().submits == 2);
}

TEST_CASE("a response of a chat model passes whole") {
  Served served(Environment{{"LLM_MODELS", "gpt-5:openai/gpt-5"}});
  const Received got = served.post(responses, with_input("\"hello\"") + with_tool);
  CHECK(got.status == 200);
  CHECK(text_at(got.body, "output.0.content.0.text") == "You said: hello ");
  CHECK(served.sim.stats().submits == 0);
  const Received streamed =
      served.post(responses, R"({"model":"gpt-5","input":"hello","stream":true})");
  CHECK(events_in(streamed.body).back().type == "response.completed");
}

TEST_CASE("a restart finds the pictures of earlier responses") {
  const testing::Folder folder;
  Environment settings = response_models;
  settings["STATE_DIR"] = folder.path();
  std::string resp;
  {
    Served served(settings);
    resp = text_at(served.post(responses, with_input("\"a fox\"") + with_tool).body, "id");
  }
  Served served(settings);
  const Received got = served.post(
      responses,
      with_input("\"make it blue\",\"previous_response_id\":\"" + resp + "\"") + with_tool);
  CAPTURE(got.body.substr(0, 300));
  CHECK(got.status == 200);
  CHECK(served.sim.submits().back().endpoint == "fal-ai/nano-banana/edit");
}

TEST_CASE("a response that is not to run in the background is made") {
  Served served(response_models);
  CHECK(served.post(responses, with_input("\"a fox\",\"background\":false") + with_tool).status ==
        200);
  CHECK(served.post(responses, with_input("\"a fox\",\"background\":true") + with_tool).status ==
        400);
}

TEST_CASE("a picture that is referred to a hundred times is looked up once") {
  struct Counting final : tests::ChangedStore {
    Counting(const Clock& clock, int& count) : ChangedStore(clock), finds(count) {}
    void find(const RunQuery& query, TimePoint deadline,
              Callback<std::vector<RunRecord>> done) override {
      ++finds;
      ChangedStore::find(query, deadline, std::move(done));
    }
    int& finds;
  };
  const SystemClock clock;
  int finds = 0;
  Served served(response_models, Served::quick(), std::make_unique<Counting>(clock, finds));
  const Received first = served.post(responses, with_input("\"a fox\"") + with_tool);
  REQUIRE(first.status == 200);
  std::string items = R"([{"role":"user","content":"a fox"})";
  for (int i = 0; i < 100; ++i)
    items += R"(,{"type":"item_reference","id":")" + text_at(first.body, "output.0.id") + "\"}";
  finds = 0;
  CHECK(served
            .post(responses,
                  with_input(items + R"(,{"role":"user","content":"make it blue"}])") + with_tool)
            .status == 200);
  CHECK(finds < 10);
}

TEST_CASE(
    "a picture that fal gives without an address is in the answer, and a Note says what follows") {
  Served served(response_models);
  falsim::Fault inlined;
  inlined.step = falsim::Step::result;
  inlined.answer = falsim::Answer{
      .status = 200, .body = R"({"images":[{"url":"data:image/png;base64,iVBORw0KGgo="}]})"};
  served.sim.add_fault(inlined);
  const Received got = served.post(responses, with_input("\"a fox\"") + with_tool);
  CHECK(got.status == 200);
  CHECK(text_at(got.body, "output.0.result") == "iVBORw0KGgo=");
  CHECK(got.header("x-falproxy-notes").find("a later turn has to send it") != std::string::npos);
  served.sim.clear_faults();
  const Received second = served.post(
      responses,
      with_input("\"make it blue\",\"previous_response_id\":\"" + text_at(got.body, "id") + "\"") +
          with_tool);
  CHECK(second.status == 400);
  CHECK(text_at(second.body, "error.code") == "previous_response_not_found");
}

}  // namespace falproxy::app
