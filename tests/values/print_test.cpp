#include <doctest/doctest.h>

#include <concepts>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>

#include "falproxy/client.hpp"
#include "falproxy/fal_desk.hpp"
#include "falproxy/falproxy.hpp"
#include "falproxy/format.hpp"
#include "falproxy/http_transport.hpp"

using namespace falproxy;

namespace {

template <class T>
std::string streamed(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

// By operator<< and by fmt, which say the same.
template <class T>
std::string shown(const T& value) {
  static_assert(Printed<T>);
  const std::string text = streamed(value);
  CHECK(fmt::format("{}", value) == text);
  return text;
}

plan::Plan some_plan() {
  plan::Plan plan;
  plan.jobs = {{.input = Json::object({{"prompt", "x"}, {"seed", 7}}), .images = 2, .slots = {}}};
  plan.size = "1024x768";
  plan.mappings = {{"size", "image_size", "square", "nearest"}};
  plan.notes = {{"size", "1x1 became square"}};
  return plan;
}

// That each prints even with nothing in it, and is equal to itself.
template <std::equality_comparable... Values>
void check_empty() {
  const auto check = [](const auto& value) {
    const std::string text = shown(value);
    CAPTURE(text);
    CHECK(text != "");
    CHECK((value == std::decay_t<decltype(value)>{}));
  };
  (check(Values{}), ...);
}

// Every value up to `last` has a name of its own, and what comes behind has none.
template <class E>
void check_names(E last) {
  std::set<std::string_view> names;
  const auto end = static_cast<int>(last);
  for (int i = 0; i <= end; ++i) {
    const std::string_view name = name_of(static_cast<E>(i));
    CAPTURE(name);
    CHECK(name != "?");
    CHECK(names.insert(name).second);
    CHECK(shown(static_cast<E>(i)) == name);
  }
}

}  // namespace

TEST_CASE("an error prints its kind, its message, and what else there is") {
  CHECK(shown(Error{ErrorKind::internal, {}}) == "internal");
  CHECK(shown(Error{ErrorKind::invalid_value, "Invalid value: '1'.", "size"}) ==
        "invalid_value: Invalid value: '1'. (field size)");
  CHECK(shown(Error{
            ErrorKind::timed_out, "Too late.", {}, std::chrono::milliseconds(1500), true, "abc"}) ==
        "timed_out: Too late. (again after 1500 ms; submitted; fal's request abc)");
  CHECK(shown(TransportError{TransportFault::unreachable, "refused", true}) ==
        "unreachable: refused (nothing sent)");
  CHECK(shown(schema::Fault{ErrorKind::invalid_type, "/loras/0", "loras[0]", "No."}) ==
        "invalid_type at /loras/0: No.");
  CHECK(shown(SettingsFault{".env", 3, "PORT", "is no number", "write 8000"}) ==
        to_string(SettingsFault{".env", 3, "PORT", "is no number", "write 8000"}));
}

TEST_CASE("a Result prints its value or its error") {
  CHECK(shown(Result<Json>(Json(7))) == "7");
  CHECK(shown(Result<Json>(Error{ErrorKind::no_image, "None."})) == "error: no_image: None.");
  CHECK(shown(Result<Done>(Done())) == "done");
  CHECK(shown(Result<int>(3)) == "3");
}

TEST_CASE("JSON prints as its text, and formats with a width") {
  CHECK(shown(Json::array({1, "a", nullptr})) == R"([1,"a",null])");
  CHECK(fmt::format("[{:>6}]", Json(true)) == "[  true]");
  CHECK(fmt::format("{:.4}", ErrorKind::timed_out) == "time");
}

TEST_CASE("Notes and plans print what they hold, and leave out what says nothing") {
  CHECK(shown(plan::Note{"size", "1x1 became 2x2"}) == "size: 1x1 became 2x2");
  CHECK(shown(plan::Note{{}, "for all"}) == "for all");
  CHECK(shown(some_plan()) ==
        R"(Plan{jobs: [JobInput{input: {"prompt":"x","seed":7}, images: 2}], )"
        R"(makes: image, intent: generation, response_format: url, n: 1, mask: either, )"
        R"(size: "1024x768", )"
        R"(preferences: FalPreferences{}, mappings: [Mapping{field: "size", )"
        R"(property: "image_size", value: "square", why: "nearest"}], )"
        R"(notes: [size: 1x1 became square]})");
}

TEST_CASE("sizes, ids and addresses print as they are written") {
  CHECK(shown(SizeWish::parse("1024x768").value()) == "1024x768");
  CHECK(shown(SizeWish::parse("16:9").value()) == "16:9");
  CHECK(shown(SizeWish::parse("AUTO").value()) == "auto");
  CHECK(shown(SizeWish()) == "none");
  CHECK(shown(fal::EndpointId::parse("fal-ai/flux/dev").value()) == "fal-ai/flux/dev");
  CHECK(shown(*Url::parse("HTTP://Host:81/a?b")) == "http://host:81/a?b");
  const std::string hosts = "fal.media,*.fal.media,http://localhost:81";
  CHECK(shown(fal::MediaHosts::parse(hosts).value()) == hosts);
  CHECK(shown(media::Dimensions{3, 4}) == "3x4");
  CHECK(shown(schema::Types{.integer = true, .string = true}) == "integer|string");
}

TEST_CASE("amounts print with their sign and their unit") {
  CHECK(shown(Usd{25'000'000}) == "$0.025");
  CHECK(shown(Usd{-5'000'000'000}) == "-$5.00");
  CHECK(shown(Units{500'000'000}) == "0.5");
  CHECK(shown(Price{Usd{1}, "images"}) == R"(Price{unit_price: $0.000000001, unit: "images"})");
  CHECK(shown(Quantities{.images = 2}) == "Quantities{images: 2}");
  CHECK(shown(Charge{"ann", 1, Usd{-1}}) ==
        R"(Charge{owner: "ann", day: 1, amount: -$0.000000001})");
  CHECK(shown(Balance{}) == "Balance{day: $0.00, week: $0.00, month: $0.00, total: $0.00}");
  CHECK(shown(Spending{.key = "ann"}).starts_with(R"(Spending{day: 0, key: "ann", requests: 0)"));
  CHECK(shown(SpendingQuery{}) == "SpendingQuery{first: 0, last: 0, by: day}");
  CHECK(shown(MediaTotal{.owner = "ann"}) == R"(MediaTotal{owner: "ann", files: 0, bytes: 0})");
  CHECK(shown(MediaQuery{.owner = "ann"}).starts_with("MediaQuery{by: id, id: 0"));
  CHECK(shown(MediaRecord{.owner = "ann"}).find(R"(owner: "ann")") != std::string::npos);
  CHECK(shown(MediaRecord{.prompt = "secret"}).find("secret") == std::string::npos);
  CHECK(shown(StateAddress{.hosts = {{"a", 1}, {"::1", 2}},
                           .master = "m",
                           .user = "u",
                           .password = Secret("p"),
                           .database = 3}) == "redis+sentinel://a:1,[::1]:2/m/3");
  CHECK(shown(StateAddress{.hosts = {{"a", 1}}, .tls = true}) == "rediss://a:1");
  CHECK(shown(StateAddress{.socket = "/s", .database = 3}) == "unix:/s?db=3");
  CHECK(shown(Charged{.balances = {{.owner = "ann"}}}).find("ann") != std::string::npos);
  CHECK(shown(SpendingBound{.owner = "ann"}).find("window: total") != std::string::npos);
  CHECK(shown(MediaPlace{.folder = "here"}).find("access: public") != std::string::npos);
  CHECK(shown(Payer{.client = "ann"}) == R"(Payer{client: "ann"})");
  CHECK(shown(Reservation{}) == "Reservation{held: $0.00, day: 0}");
  CHECK(shown(BudgetStatus{}) == "BudgetStatus{spent: $0.00}");
  CHECK(shown(Bill{"r-1", Usd{5'000'000'000}}) == R"(Bill{fal_request_id: "r-1", cost: $5.00})");
  CHECK(shown(SettledJob{.fal_request_id = "r-1"}).starts_with(R"(SettledJob{payer: Payer{)"));
  CHECK(shown(fal::PastRequest{"r-1", Json::object({{"prompt", "secret"}})}) ==
        R"(PastRequest{request_id: "r-1"})");
  CHECK(shown(SpendingAlert{.key = "ann"}) ==
        R"(SpendingAlert{kind: budget_spent, key: "ann", spent: $0.00, limit: $0.00})");
  CHECK(shown(Budget{Usd{5'000'000'000}, BudgetWindow::day}) == "5.00/day");
}

TEST_CASE("what is long, binary or a key prints short, readable and without it") {
  CHECK(shown(Body("a\"\\\n\x01")) == R"("a\"\\\n\x01")");
  CHECK(shown(Body(std::string(100'000, 'x'))).size() < 500);
  HttpRequest request;
  request.url = "https://queue.fal.run/fal-ai/flux/dev";
  request.headers = {{"Authorization", "Key id:secret"}, {"Accept", "*/*"}};
  CHECK(shown(request) ==
        R"(HttpRequest{method: "GET", url: "https://queue.fal.run/fal-ai/flux/dev", )"
        R"(headers: ["Authorization": "[key]", "Accept": "*/*"], )"
        R"(max_silence: 0 ms})");
  CHECK(shown(fal::UploadTarget{"https://up.fal.run/f?signature=s", "https://fal.media/f"})
            .find("signature") == std::string::npos);
  static_assert(!Printed<Secret> && !Printed<AccessKey> && !Printed<KeyRules> &&
                !Printed<Settings> && !Printed<Proxy>);
}

TEST_CASE("requests, answers and receipts print their members by name") {
  Wish request;
  request.prompt = "a fox";
  request.size = {SizeWish::Kind::ratio, 16, 9};
  request.native = {{"seed", 7}};
  request.images = {{.url = "https://example.com/a.png"}, {.bytes = "\x89PNG"}};
  CHECK(shown(request) ==
        R"(Wish{makes: image, intent: generation, prompt: "a fox", size: 16:9, )"
        R"(images: [InputFile{url: "https://example.com/a.png"}, InputFile{bytes: "4 bytes"}], )"
        R"(native: ["seed": 7]})");
  openai::ImageResponse response;
  response.data = {{Body("https://fal.media/1.png")}};
  CHECK(shown(response).starts_with(
      R"(ImageResponse{created: 0, data: [ImageData{content: "https://fal.media/1.png", is_url: true}])"));
  JobReceipt receipt;
  receipt.endpoint = "fal-ai/flux/dev";
  receipt.submit = std::chrono::microseconds(1500);
  CHECK(shown(receipt) == R"(JobReceipt{endpoint: "fal-ai/flux/dev", key_slot: 0, submits: 0, )"
                          R"(submit: 1500 us, queue: 0 ms, inference: 0 ms, result: 0 ms})");
  const DocumentStatus document{"a/b", true, false, WallTime(std::chrono::seconds(5)), ""};
  CHECK(shown(document) == R"(DocumentStatus{endpoint: "a/b", available: true, fetched: 5 s})");
  CHECK(shown(Outcome{Error{ErrorKind::cancelled, "Left."}, {}}).find("cancelled: Left.") !=
        std::string::npos);
}

TEST_CASE("what is spoken and what is heard print their members by name") {
  const Utterance said{"Good morning.", 0.5, 1.25, "A"};
  CHECK(shown(said) == R"(Utterance{text: "Good morning.", start: 0.5, end: 1.25, speaker: "A"})");
  CHECK(shown(Transcript{.text = "Good morning.", .language = "en", .segments = {said}})
            .starts_with(R"(Transcript{text: "Good morning.", language: "en", segments: [Utter)"));
  Wish wish{.makes = Medium::text};
  wish.voice = "alloy";
  wish.times = Times::words;
  wish.images = {{.bytes = "RIFF", .medium = Medium::audio}};
  CHECK(shown(wish) ==
        R"(Wish{makes: text, intent: generation, size: none, voice: "alloy", )"
        R"(times: "words", images: [InputFile{bytes: "4 bytes", medium: "audio"}]})");
  CHECK(shown(openai::SpeechRequest{.wish = {}, .events = true}).ends_with("events: true}"));
  CHECK(shown(openai::TranscriptRequest{}).find("format: json") != std::string::npos);
  CHECK(shown(media::WavHead{.rate = 24000, .channels = 1, .bits = 16, .begin = 44, .size = 2}) ==
        "WavHead{rate: 24000, channels: 1, bits: 16, begin: 44, size: 2}");
  CHECK(shown(openai::Voice{"af_heart", "kokoro"}) == R"(Voice{id: "af_heart", model: "kokoro"})");
  CHECK(shown(openai::Chore{"title", "A fox"}) == R"(Chore{kind: "title", answer: "A fox"})");
  CHECK(shown(openai::ChatRequest{}).find("choices: 1") != std::string::npos);
  CHECK(shown(openai::TalkPicture{.address = "https://a"}) ==
        R"(TalkPicture{address: "https://a"})");
  CHECK(shown(openai::ChatAnswer{.model = "flux"}).find("flux") != std::string::npos);
  CHECK(shown(openai::ResponseRequest{.model = "gpt"}).find("gpt") != std::string::npos);
  CHECK(shown(openai::ResponseAnswer{.model = "gpt"}).find("gpt") != std::string::npos);
  CHECK(shown(router::NamedModel{"gpt", 1, 6}) == R"(NamedModel{name: "gpt", begin: 1, end: 6})");
  CHECK(shown(ChatRoute{"gpt", "openai/gpt-5"}) == "gpt:openai/gpt-5");
  CHECK(shown(Forwarded{"ab"}) == R"(Forwarded{account: "ab"})");
  CHECK(shown(ForwardedRequest{.request = {.url = "https://a"}}).find("https://a") !=
        std::string::npos);
}

TEST_CASE("what the desk saw prints without keys") {
  testing::SeenSubmit submit;
  submit.endpoint = "fal-ai/flux/dev";
  submit.key = "id:secret";
  submit.status = 200;
  submit.input = "{}";
  CHECK(shown(submit) == R"(200 for fal-ai/flux/dev: {})");
  CHECK(shown(testing::DeskStats()) == testing::to_json(testing::DeskStats()));
  CHECK(shown(*testing::Fault::preset("rate_limited")) == "rate_limited");
  CHECK(shown(testing::Picture{.width = 3, .height = 4}) == "3x4_0.png");
}

TEST_CASE("what a program asks for and what is made print by name, files by their size") {
  const ImageWish wish{.model = "flux",
                       .prompt = "a fox",
                       .size = "16:9",
                       .images = {picture_from_bytes("PNG", "a.png")},
                       .native = {{"seed", 7}}};
  CHECK(shown(wish) == R"(ImageWish{model: "flux", prompt: "a fox", n: 1, size: "16:9", )"
                       R"(images: [InputFile{bytes: "3 bytes", name: "a.png"}], )"
                       R"(native: ["seed": 7]})");
  CHECK(shown(Artifact::of("abc")) == "3 bytes");
  CHECK(shown(Artifact::at("https://fal.media/1.png", {})) == "https://fal.media/1.png");
  const Content content{std::make_shared<const std::string>("abc"), "image/png", {{3, 4}}};
  CHECK(shown(content) == R"(Content{bytes: "3 bytes", content_type: "image/png", pixels: 3x4})");
  CHECK(shown(Made{.artifacts = {Artifact::of("abc")}, .notes = {{"n", "dropped"}}})
            .starts_with("Made{artifacts: [3 bytes], notes: [n: dropped], receipt: Receipt{"));
  CHECK(shown(CallProgress{.stage = CallProgress::Stage::queued, .position = 2}) ==
        "CallProgress{stage: queued, position: 2}");
}

TEST_CASE("what processes tell each other prints by name") {
  CHECK(shown(KeyBan{.kind = KeyBan::Kind::refused, .name = "ab", .stamp = "1-2"}) ==
        R"(KeyBan{kind: refused, name: "ab", stamp: "1-2"})");
  CHECK(shown(Turn{.client = "ann", .places = 2, .requests = 3, .period = Milliseconds(50)}) ==
        R"(Turn{client: "ann", places: 2, requests: 3, period: 50 ms})");
  CHECK(shown(TurnAnswer{.kind = TurnAnswer::Kind::too_fast, .until_next = Milliseconds(5)}) ==
        "TurnAnswer{kind: too_fast, remaining: 0, until_next: 5 ms, until_full: 0 ms}");
}

TEST_CASE("what goes wrong at the desk prints what is different") {
  using testing::Answer;
  using testing::JobChange;
  CHECK(shown(Answer{.status = 429, .body = "{}"}) == R"(429, application/json: "{}")");
  CHECK(shown(Answer{.status = 502, .content_type = "text/html", .from_fal = false}) ==
        R"(502 not of fal, text/html: "")");
  CHECK(shown(JobChange{}) == "JobChange{}");
  CHECK(shown(JobChange{.queue_time = Milliseconds(5),
                        .error = "gone",
                        .result = Answer{.status = 422},
                        .ignores_cancel = true}) ==
        R"(JobChange{queue_time: 5 ms, error: "gone", result: 422, application/json: "", )"
        R"(ignores_cancel: true})");
  using testing::DeskHost;
  CHECK(shown(testing::DeskRequest::to(DeskHost::run, "GET", "/a?b")) ==
        "GET /a?b of the host run");
  CHECK(shown(testing::DeskReply{.status = 202, .body = Body("x")}) == R"(202: "x")");
}

TEST_CASE("every other value prints, even if nothing is in it") {
  check_empty<Piece, HttpHead, HttpResponse, FormPartHead, ResponseFormatRule, Teaching,
              StateAddress::Host, ModelRoute, ModelSettings, RateLimit>();
  check_empty<RunId, RunFault, RunJob, RunArtifact, RunRecord, StoreError, RunPlace, RunQuery,
              StoreStatus, Posting, KeptText>();
  check_empty<fal::Addresses, fal::Submitted, fal::QueueStatus, fal::SubmitOptions, AttachedFile,
              media::DataUri, StoredDocument, DocumentChange>();
  check_empty<profile::MediaInput, profile::RoleInput, profile::Output, profile::Summary>();
  CHECK(shown(CatalogModel{"flux", fal::EndpointId::parse("fal-ai/flux").value(), {}, {}})
            .starts_with(R"(CatalogModel{name: "flux", endpoint: fal-ai/flux)"));
  CHECK(shown(schema::Field{}).starts_with("Field{"));
  CHECK(shown(schema::ModelSchema{}).starts_with("ModelSchema{"));
  const auto empty = std::make_shared<schema::ModelSchema>();
  CHECK(shown(profile::make_profile(empty)).starts_with("Profile{"));
  CHECK(shown(SettingInfo{"PORT", "8000", "where it listens"}) == "PORT");
  check_empty<plan::FileSlot, plan::Options, plan::ResultFile, plan::JobResult>();
  check_empty<Underway, Receipt, Recovered, Product, Runner::Counters, HttpTransport::Counters,
              Purse::Job, Purse::Ended>();
  check_empty<openai::FormPart, openai::Usage, openai::ErrorRow, openai::ModelEntry,
              testing::SeenUpload>();
}

TEST_CASE("numbers print alike whatever the stream is set to") {
  schema::FalLimits limits;
  limits.min_width = 256.5;
  std::ostringstream out;
  out << std::hex << SizeWish{SizeWish::Kind::pixels, 1024, 768} << ' ' << limits;
  CHECK(out.str() == "1024x768 FalLimits{min_width: 256.5}");
}

TEST_CASE("a run prints how it stands") {
  RunStatus status{.phase = RunPhase::in_progress, .progress = 40};
  status.record.id.bytes.fill(1);
  CHECK(shown(status).find("phase: in_progress") != std::string::npos);
  CHECK(shown(status).find("progress: 40") != std::string::npos);
}

TEST_CASE("doctest shows both sides of a failed check on a value") {
  const Error error{ErrorKind::invalid_value, "No.", "size"};
  CHECK(doctest::toString(error) == "invalid_value: No. (field size)");
  CHECK(doctest::toString(Json(7)) == "7");
  CHECK(doctest::toString(plan::Note{"n", "dropped"}) == "n: dropped");
  CHECK(std::string(doctest::toString(some_plan()).c_str()) == streamed(some_plan()));
  CHECK(doctest::toString(Result<Json>(error)) == "error: invalid_value: No. (field size)");
}

TEST_CASE("containers and pointers of values are not falproxy's to format") {
  static_assert(!Printed<std::vector<Error>> && !Printed<std::optional<Error>>);
  static_assert(!Printed<std::shared_ptr<Json>> && !Printed<int> && !Printed<std::string>);
}

TEST_CASE("each enum has a name for each of its values") {
  check_names(ErrorKind::internal);
  check_names(Json::Kind::object);
  check_names(TransportFault::too_large);
  check_names(LogLevel::error);
  check_names(ResponseFormat::b64_json);
  check_names(MaskConvention::either);
  check_names(Completion::sync);
  check_names(QueuePriority::low);
  check_names(OutputAccess::forbid);
  check_names(OnDisconnect::keep);
  check_names(ImageUpload::inline_data);
  check_names(ChatImages::both);
  check_names(NsfwResults::pass);
  check_names(LogFormat::json);
  check_names(UnknownPrice::assume);
  check_names(KeyOutcome::account_blocked);
  check_names(AccountStatus::State::out);
  check_names(media::ImageType::avif);
  check_names(Intent::variation);
  check_names(SizeWish::Kind::ratio);
  check_names(RunPhase::cancelled);
  check_names(CallProgress::Stage::running);
  check_names(KeyBan::Kind::blocked);
  check_names(TurnAnswer::Kind::too_fast);
  check_names(RunState::cancelled);
  check_names(RunQuery::By::open);
  check_names(Durability::lazy);
  check_names(StoreFault::closed);
  check_names(Times::words);
  check_names(media::SoundType::webm);
  check_names(openai::TranscriptFormat::diarized_json);
  check_names(openai::FormGatherer::Files::sound);
  check_names(openai::ImageEvent::Kind::completed);
  check_names(Medium::mesh);
  check_names(UnitKind::other);
  check_names(BudgetWindow::total);
  check_names(SpendingBy::user);
  check_names(MediaState::deleted);
  check_names(MediaQuery::By::waiting);
  check_names(MediaAccess::key);
  check_names(SpendingAlert::Kind::costly_job);
  check_names(profile::Part::other);
  check_names(profile::Role::speakers);
  check_names(profile::LengthUnit::frames);
  check_names(profile::SizeControl::resolution);
  check_names(fal::QueueState::unknown);
  check_names(fal::CancelAnswer::unclear);
  check_names(fal::Fault::Cause::not_fal);
  check_names(testing::Step::sign);
  check_names(testing::Wire::stream_stalls);
  check_names(testing::DeskHost::elsewhere);
  check_names(testing::FalDesk::Admission::close);
  check_names(testing::Validation::submit);
  check_names(testing::PictureFormat::webp);
}
