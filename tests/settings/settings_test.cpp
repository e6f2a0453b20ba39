#include "falproxy/settings.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

using falproxy::AccessKey;
using falproxy::EnvFile;
using falproxy::ModelRoute;
using falproxy::parse_env;
using falproxy::read_settings;
using falproxy::Secret;
using falproxy::Settings;
using falproxy::SettingsFault;

namespace {

constexpr const char* needed =
    "CUSTOM_ACCESS_KEY=an-access-key-of-one\nAI_KEYS=id:secret\nSUPPORTED_MODELS=flux-dev:fal-ai/"
    "flux/dev\n";

Settings read_good(const std::string& text,
                   const std::map<std::string, std::string>& environment = {}) {
  const auto read = read_settings(parse_env(text, ".env"), environment);
  if (!read.has_value()) {
    for (const SettingsFault& fault : read.error()) MESSAGE(to_string(fault));
  }
  REQUIRE(read.has_value());
  return *read;
}

std::vector<SettingsFault> read_bad(const std::string& text,
                                    const std::map<std::string, std::string>& environment = {}) {
  const auto read = read_settings(parse_env(text, ".env"), environment);
  REQUIRE_FALSE(read.has_value());
  return read.error();
}

Settings minimal() {
  Settings settings;
  settings.access_keys = {{"default", Secret("an-access-key-of-one")}};
  settings.ai_keys = {{Secret("id:secret")}};
  settings.models = {{"flux-dev", "fal-ai/flux/dev", ""}};
  return settings;
}

}  // namespace

TEST_CASE("three settings are enough, and the rest has its defaults") {
  CHECK(read_good(needed) == minimal());
}

TEST_CASE("the original's example is read") {
  const Settings settings = read_good(R"(# Your secret key to access THIS proxy
CUSTOM_ACCESS_KEY="my-super-secret-proxy-key"
AI_KEYS="fal-key-123abc,fal-key-456def"
PORT="8000"
DEBUG_MODE="true"
SUPPORTED_MODELS="flux-dev:fal-ai/flux/dev,sdxl:fal-ai/stable-diffusion-xl,flux-schnell:fal-ai/flux-schnell"
)");
  CHECK(settings.access_keys ==
        std::vector<AccessKey>{{"default", Secret("my-super-secret-proxy-key")}});
  CHECK(settings.ai_keys ==
        std::vector<std::vector<Secret>>{{Secret("fal-key-123abc")}, {Secret("fal-key-456def")}});
  CHECK(settings.models == std::vector<ModelRoute>{{"flux-dev", "fal-ai/flux/dev", ""},
                                                   {"sdxl", "fal-ai/stable-diffusion-xl", ""},
                                                   {"flux-schnell", "fal-ai/flux-schnell", ""}});
  CHECK(settings.debug_mode);
}

TEST_CASE("each setting reaches its member") {
  struct Case {
    std::string line;
    std::function<void(Settings&)> change;
  };
  using namespace std::chrono_literals;
  for (const Case& c : std::vector<Case>{
           {"HOST=127.0.0.1", [](Settings& s) { s.host = "127.0.0.1"; }},
           {"HOST=::1", [](Settings& s) { s.host = "::1"; }},
           {"HOST=::", [](Settings& s) { s.host = "::"; }},
           {"HOST=[::]", [](Settings& s) { s.host = "::"; }},
           {"HOST=*", [](Settings& s) { s.host = "*"; }},
           {"HOST=images.example.org", [](Settings& s) { s.host = "images.example.org"; }},
           {"HOST=fe80::1%eth0", [](Settings& s) { s.host = "fe80::1%eth0"; }},
           {"PORT=1234", [](Settings& s) { s.port = 1234; }},
           {"PORT=0", [](Settings& s) { s.port = 0; }},
           {"DEBUG_MODE=true", [](Settings& s) { s.debug_mode = true; }},
           {"LOG_FORMAT=json", [](Settings& s) { s.log_format = falproxy::LogFormat::json; }},
           {"LOG_FORMAT=JSON", [](Settings& s) { s.log_format = falproxy::LogFormat::json; }},
           {"ACCESS_KEYS=web=12345678, app = a=b=c=d=e ,",
            [](Settings& s) {
              s.access_keys.push_back({"web", Secret("12345678")});
              s.access_keys.push_back({"app", Secret("a=b=c=d=e")});
            }},
           {"CORS_ALLOW_ORIGINS=https://App.example.com, "
            "http://localhost:3000,app://obsidian.md,null,https://x.org:443",
            [](Settings& s) {
              s.cors_allow_origins = {"https://app.example.com", "http://localhost:3000",
                                      "app://obsidian.md", "null", "https://x.org"};
            }},
           {"CORS_ALLOW_ORIGINS=none", [](Settings& s) { s.cors_allow_origins = {}; }},
           {"PUBLIC_MODELS=yes", [](Settings& s) { s.public_models = true; }},
           {"PLAYGROUND=off", [](Settings& s) { s.playground = false; }},
           {"METRICS_PORT=9100", [](Settings& s) { s.metrics_port = 9100; }},
           {"METRICS_HOST=0.0.0.0", [](Settings& s) { s.metrics_host = "0.0.0.0"; }},
           {"METRICS_HOST=[::1]", [](Settings& s) { s.metrics_host = "::1"; }},
           {"ADMIN_KEY=12345678", [](Settings& s) { s.admin_key = Secret("12345678"); }},
           {"SHUTDOWN_GRACE_SECONDS=0", [](Settings& s) { s.shutdown_grace = 0s; }},
           {"KEEPALIVE_SECONDS=15", [](Settings& s) { s.keepalive = 15s; }},
           {"MAX_IN_FLIGHT=10", [](Settings& s) { s.max_in_flight = 10; }},
           {"MAX_IN_FLIGHT_PER_KEY=5", [](Settings& s) { s.max_in_flight_per_key = 5; }},
           {"RATE_LIMIT=60/min", [](Settings& s) { s.rate_limit = {60, 60s}; }},
           {"RATE_LIMIT=\" 5 / S \"", [](Settings& s) { s.rate_limit = {5, 1s}; }},
           {"RATE_LIMIT=1000/day", [](Settings& s) { s.rate_limit = {1000, 86400s}; }},
           {"MAX_BODY_BYTES=1000", [](Settings& s) { s.max_body_bytes = 1000; }},
           {"MAX_BODY_MEMORY=2 GiB", [](Settings& s) { s.max_body_memory = std::size_t{2} << 30; }},
           {"DEFAULT_MODEL=flux-dev", [](Settings& s) { s.default_model = "flux-dev"; }},
           {"DEFAULT_RESPONSE_FORMAT=b64_json",
            [](Settings& s) {
              s.default_response_format = {{"*", falproxy::ResponseFormat::b64_json}};
            }},
           {"DEFAULT_RESPONSE_FORMAT=URL",
            [](Settings& s) {
              s.default_response_format = {{"*", falproxy::ResponseFormat::url}};
            }},
           {"DEFAULT_RESPONSE_FORMAT=\"dall-e* = url, *=b64_json\"",
            [](Settings& s) {
              s.default_response_format = {{"dall-e*", falproxy::ResponseFormat::url},
                                           {"*", falproxy::ResponseFormat::b64_json}};
            }},
           {"STRICT_PARAMETERS=1", [](Settings& s) { s.strict_parameters = true; }},
           {"MAX_IMAGES_PER_REQUEST=4", [](Settings& s) { s.max_images_per_request = 4; }},
           {"NSFW_RESULTS=pass", [](Settings& s) { s.nsfw_results = falproxy::NsfwResults::pass; }},
           {"REQUEST_TIMEOUT_SECONDS=60", [](Settings& s) { s.request_timeout = 60s; }},
           {"ON_DISCONNECT=keep",
            [](Settings& s) { s.on_disconnect = falproxy::OnDisconnect::keep; }},
           {"RECOVERY_WINDOW_SECONDS=0", [](Settings& s) { s.recovery_window = 0s; }},
           {"KEYED_RECOVERY_SECONDS=604800", [](Settings& s) { s.keyed_recovery = 604800s; }},
           {"MAX_UPLOAD_BYTES=1kb", [](Settings& s) { s.max_upload_bytes = 1000; }},
           {"KEEP_METADATA=true", [](Settings& s) { s.keep_metadata = true; }},
           {"IMAGE_UPLOAD=inline",
            [](Settings& s) { s.image_upload = falproxy::ImageUpload::inline_data; }},
           {"UPLOAD_TTL_SECONDS=60", [](Settings& s) { s.upload_ttl = 60s; }},
           {"ALLOW_ANY_MODEL=on", [](Settings& s) { s.allow_any_model = true; }},
           {"MODELS_FILE=\"my models.json\"",
            [](Settings& s) { s.models_file = "my models.json"; }},
           {"FAL_COMPLETION=poll", [](Settings& s) { s.completion = falproxy::Completion::poll; }},
           {"FAL_COMPLETION=sync", [](Settings& s) { s.completion = falproxy::Completion::sync; }},
           {"MAX_UPSTREAM_STREAMS=0", [](Settings& s) { s.max_upstream_streams = 0; }},
           {"MAX_SUBMIT_ATTEMPTS=1", [](Settings& s) { s.max_submit_attempts = 1; }},
           {"MAX_JOBS_PER_ACCOUNT=2", [](Settings& s) { s.max_jobs_per_account = 2; }},
           {"MAX_DOWNLOAD_BYTES=1MiB", [](Settings& s) { s.max_download_bytes = 1 << 20; }},
           {"FAL_QUEUE_URL=http://127.0.0.1:9000/",
            [](Settings& s) { s.fal_queue_url = "http://127.0.0.1:9000"; }},
           {"FAL_RUN_URL=https://run.example.com/fal",
            [](Settings& s) { s.fal_run_url = "https://run.example.com/fal"; }},
           {"FAL_SCHEMA_URL=http://[::1]:9000/x/openapi.json",
            [](Settings& s) { s.fal_schema_url = "http://[::1]:9000/x/openapi.json"; }},
           {"FAL_REST_URL=http://localhost",
            [](Settings& s) { s.fal_rest_url = "http://localhost"; }},
           {"FAL_MEDIA_HOSTS=\"*.example.com, http://127.0.0.1:9000\"",
            [](Settings& s) { s.fal_media_hosts = "*.example.com, http://127.0.0.1:9000"; }},
           {"SSL_CERT_FILE=/etc/my ca.pem",
            [](Settings& s) { s.ssl_cert_file = "/etc/my ca.pem"; }},
           {"SCHEMA_CACHE_DIR=none", [](Settings& s) { s.schema_cache_dir = "none"; }},
           {"SCHEMA_TTL_HOURS=1", [](Settings& s) { s.schema_ttl = 1h; }},
           {"STATE_DIR=\"my state\"", [](Settings& s) { s.state_dir = "my state"; }},
           {"STATE_DIR=None", [](Settings& s) { s.state_dir = "none"; }},
           {"REQUIRE_STATE=yes", [](Settings& s) { s.require_state = true; }},
       }) {
    CAPTURE(c.line);
    Settings want = minimal();
    c.change(want);
    CHECK(read_good(std::string(needed) + c.line + "\n") == want);
  }
}

TEST_CASE("a default, written out, changes nothing") {
  std::string text = needed;
  for (const falproxy::SettingInfo& info : falproxy::all_settings()) {
    if (!info.standard.empty())
      text += std::string(info.name) + "=\"" + std::string(info.standard) + "\"\n";
  }
  CHECK(read_good(text) == minimal());
}

TEST_CASE("a blank value is the same as none") {
  std::string text = needed;
  for (const falproxy::SettingInfo& info : falproxy::all_settings()) {
    if (!info.needed) text += std::string(info.name) + "=\"  \"\n";
  }
  CHECK(read_good(text) == minimal());
}

TEST_CASE("a variable of the environment wins over the file, and others there do not matter") {
  const Settings settings =
      read_good(std::string(needed) + "PORT=1\nHOST=::1\n",
                {{"PORT", "2"}, {"HOST", ""}, {"PATH", "/bin"}, {"AI_KEYS", "other"}});
  CHECK(settings.port == 2);
  CHECK(settings.host == "0.0.0.0");
  CHECK(settings.ai_keys == std::vector<std::vector<Secret>>{{Secret("other")}});
  CHECK(read_good("", {{"CUSTOM_ACCESS_KEY", "an-access-key-of-one"},
                       {"AI_KEYS", "id:secret"},
                       {"SUPPORTED_MODELS", "flux-dev:fal-ai/flux/dev"}}) == minimal());
}

TEST_CASE("a good variable of the environment heals a bad line of the file") {
  CHECK(read_good(std::string(needed) + "PORT=x\n", {{"PORT", "8000"}}) == minimal());
}

TEST_CASE("an access key is one opaque string") {
  for (const std::string key :
       {"k1234567", "a,b,c,d,e", "a=b=c=d=e", "a|b c|d e", "it's \"quoted\"", "k\u00e9y-of-one",
        "Bearers-key", "key-of-one"}) {
    CAPTURE(key);
    CHECK(read_good(needed, {{"CUSTOM_ACCESS_KEY", key}}).access_keys.front().key.reveal() == key);
  }
}

TEST_CASE("names in ACCESS_KEYS can do without CUSTOM_ACCESS_KEY") {
  const Settings settings =
      read_good("ACCESS_KEYS=web=12345678\nAI_KEYS=k\nSUPPORTED_MODELS=a:b/c");
  CHECK(settings.access_keys == std::vector<AccessKey>{{"web", Secret("12345678")}});
}

TEST_CASE("keys of one fal account stand together") {
  CHECK(read_good(std::string(needed) + "AI_KEYS=\"a|b, c ,,d | e,|\"").ai_keys ==
        std::vector<std::vector<Secret>>{
            {Secret("a"), Secret("b")}, {Secret("c")}, {Secret("d"), Secret("e")}});
}

TEST_CASE("models are listed with blanks, line breaks and commas as people write them") {
  struct Case {
    std::string name;
    std::string text;
    std::vector<ModelRoute> want;
  };
  for (const Case& c : std::vector<Case>{
           {"two segments", "a:b/c", {{"a", "b/c", ""}}},
           {"seven segments", "a:b/c/d/e/f/g/h", {{"a", "b/c/d/e/f/g/h", ""}}},
           {"an edit endpoint",
            "nano:fal-ai/nano-banana+fal-ai/nano-banana/edit",
            {{"nano", "fal-ai/nano-banana", "fal-ai/nano-banana/edit"}}},
           {"blanks", "  a : b/c + d/e , f:g/h ", {{"a", "b/c", "d/e"}, {"f", "g/h", ""}}},
           {"trailing and doubled commas", ",a:b/c,,d:e/f,", {{"a", "b/c", ""}, {"d", "e/f", ""}}},
           {"line breaks", "\n  a:b/c,\n  d:e/f,\n", {{"a", "b/c", ""}, {"d", "e/f", ""}}},
           {"line breaks without commas", "\na:b/c\nd:e/f\n", {{"a", "b/c", ""}, {"d", "e/f", ""}}},
           {"a workflow", "w:workflows/owner/name", {{"w", "workflows/owner/name", ""}}},
           {"a comfy workflow", "w:comfy/owner/name/part", {{"w", "comfy/owner/name/part", ""}}},
           {"other owners, dots and underscores",
            "g:openai/gpt-image-2.5/sun_burst",
            {{"g", "openai/gpt-image-2.5/sun_burst", ""}}},
           {"a legacy id", "l:12345-my-app", {{"l", "12345/my-app", ""}}},
           {"a name with slashes, dots and pluses",
            "black/flux.1+x:b/c",
            {{"black/flux.1+x", "b/c", ""}}},
           {"a name beyond ASCII", "\u7ed8\u56fe:b/c", {{"\u7ed8\u56fe", "b/c", ""}}},
           {"names that differ in case", "a:b/c,A:b/c", {{"a", "b/c", ""}, {"A", "b/c", ""}}},
       }) {
    CAPTURE(c.name);
    CHECK(read_good(needed, {{"SUPPORTED_MODELS", c.text}}).models == c.want);
  }
}

TEST_CASE("each bad value is refused with its file, line, variable and mend") {
  struct Case {
    std::string line;
    std::string part;  // of the fault as text
  };
  for (const Case& c : {
           Case{"PORT=x", "is not a whole number; write a number from 0 to 65535"},
           {"PORT=80a", "is not a whole number"},
           {"PORT=8.0", "is not a whole number"},
           {"PORT=65536", "is out of range"},
           {"PORT=-1", "is out of range"},
           {"PORT=99999999999999999999", "is out of range"},
           {"METRICS_PORT=x", "is not a whole number"},
           {"HOST=\"a b\"", "is no address to listen on; write HOST=0.0.0.0, HOST=:: or HOST=*"},
           {"HOST=http://0.0.0.0", "without http:// and without a port"},
           {"HOST=0.0.0.*", "is no address to listen on"},
           {"HOST=[]", "is no address to listen on"},
           {"METRICS_HOST=\"a b\"", "is no address to listen on"},
           {"DEBUG_MODE=maybe", "is neither true nor false"},
           {"PUBLIC_MODELS=2", "is neither true nor false"},
           {"PLAYGROUND=tru", "is neither true nor false"},
           {"STRICT_PARAMETERS=y", "is neither true nor false"},
           {"ALLOW_ANY_MODEL=t", "is neither true nor false"},
           {"LOG_FORMAT=xml", "is not one of text, json; write LOG_FORMAT=text"},
           {"DEFAULT_RESPONSE_FORMAT=b64json", "write DEFAULT_RESPONSE_FORMAT=b64_json"},
           {"FAL_COMPLETION=pol", "is not one of stream, poll, sync; write FAL_COMPLETION=poll"},
           {"NSFW_RESULTS=drop", "is not one of leave_out, pass"},
           {"ON_DISCONNECT=stop", "is not one of cancel, keep"},
           {"IMAGE_UPLOAD=cdn", "is not one of storage, inline"},
           {"REQUEST_TIMEOUT_SECONDS=0", "is out of range"},
           {"REQUEST_TIMEOUT_SECONDS=30s", "is not a whole number"},
           {"RECOVERY_WINDOW_SECONDS=x", "is not a whole number"},
           {"KEYED_RECOVERY_SECONDS=1h", "is not a whole number; write a number from 0 to 604800"},
           {"KEYED_RECOVERY_SECONDS=604801", "is out of range; write a number from 0 to 604800"},
           {"SHUTDOWN_GRACE_SECONDS=-5", "is out of range"},
           {"KEEPALIVE_SECONDS=x", "is not a whole number"},
           {"UPLOAD_TTL_SECONDS=1", "is out of range"},
           {"SCHEMA_TTL_HOURS=0", "is out of range"},
           {"REQUIRE_STATE=always", "is neither true nor false"},
           {"MAX_IN_FLIGHT=0", "is out of range"},
           {"MAX_IN_FLIGHT_PER_KEY=-1", "is out of range"},
           {"MAX_UPSTREAM_STREAMS=x", "is not a whole number"},
           {"MAX_SUBMIT_ATTEMPTS=0", "is out of range"},
           {"MAX_JOBS_PER_ACCOUNT=many", "is not a whole number"},
           {"MAX_IMAGES_PER_REQUEST=0", "is out of range"},
           {"MAX_BODY_BYTES=0", "is out of range"},
           {"MAX_BODY_BYTES=12 parsecs", "is not a size"},
           {"MAX_UPLOAD_BYTES=MB", "is not a size"},
           {"MAX_BODY_MEMORY=-1", "is not a size"},
           {"MAX_DOWNLOAD_BYTES=99999999999GiB", "is out of range"},
           {"RATE_LIMIT=60", "write it like RATE_LIMIT=60/min"},
           {"RATE_LIMIT=0/min", "is not requests per time"},
           {"RATE_LIMIT=60/week", "is not requests per time"},
           {"RATE_LIMIT=many/min", "is not requests per time"},
           {"FAL_QUEUE_URL=queue.fal.run",
            "is not an http or https address; write it like FAL_QUEUE_URL="},
           {"FAL_QUEUE_URL=ftp://queue.fal.run", "is not an http or https address"},
           {"FAL_RUN_URL=https://user:pw@fal.run", "is not an http or https address"},
           {"FAL_SCHEMA_URL=https://fal.ai/x?y=", "without '?'"},
           {"FAL_REST_URL=https://", "is not an http or https address"},
           {"FAL_MEDIA_HOSTS=fal.media,https://fal.media/files", "entry 2 has a path"},
           {"FAL_MEDIA_HOSTS=*.*.media", "entry 1 is not a host"},
           {"CORS_ALLOW_ORIGINS=https://a.example,https://b.example/", "entry 2 is not an origin"},
           {"CORS_ALLOW_ORIGINS=example.com", "entry 1 is not an origin"},
           {"CORS_ALLOW_ORIGINS=https://*.example.com", "entry 1 is not an origin"},
           {"DEFAULT_RESPONSE_FORMAT=b64", "entry 1 is neither url nor b64_json"},
           {"DEFAULT_RESPONSE_FORMAT=url,dall-e*=b64", "entry 2 is neither url nor b64_json"},
           {"DEFAULT_RESPONSE_FORMAT==url", "entry 1 is neither url nor b64_json"},
           {"DEFAULT_MODEL=flux-dve", "is no name in SUPPORTED_MODELS; did you mean flux-dev?"},
           {"DEFAULT_MODEL=other", "write one of its names"},
           {"DEFAULT_MODEL=fal-ai/flux/dev", "is no name in SUPPORTED_MODELS"},
           {"ACCESS_KEYS=12345678", "entry 1 is not name=key"},
           {"ACCESS_KEYS=web=1234567", "entry 1 has a key that has fewer than 8 characters"},
           {"ACCESS_KEYS=web=Bearer 12345678", "entry 1 has a key that begins with 'Bearer '"},
           {"CUSTOM_ACCESS_KEY=1234567", "has fewer than 8 characters; make one with"},
           {"CUSTOM_ACCESS_KEY=\"Bearer 12345678\"", "begins with 'Bearer '"},
           {"CUSTOM_ACCESS_KEY=\"key 12345678\"", "begins with 'Key '"},
           {"CUSTOM_ACCESS_KEY=\u201c12345678\u201d", "stands in curly quotes"},
           {"CUSTOM_ACCESS_KEY=12345678\u2019", "stands in curly quotes"},
           {"ADMIN_KEY=1234567", "has fewer than 8 characters"},
           {"ADMIN_KEY=an-access-key-of-one", "is an access key, too"},
           {"ACCESS_KEYS=web=12345678,web=abcdefgh", "entry 2 repeats a name"},
           {"ACCESS_KEYS=web=12345678,app=12345678", "entry 2 repeats the key"},
           {"ACCESS_KEYS=default=12345678", "the name of CUSTOM_ACCESS_KEY"},
           {"ACCESS_KEYS=we b=12345678", "entry 1 is not name=key"},
           {"ACCESS_KEYS=web=1234 5678", "a blank or a control character"},
           {"ACCESS_KEYS=\",\"", "holds no key"},
           {"AI_KEYS=a,b c", "account 2 has a key with a blank"},
           {"AI_KEYS=a|b,a", "account 2 repeats a key"},
           {"AI_KEYS=a:b,Key c:d", "account 2 has a key that begins with 'Key '"},
           {"AI_KEYS=\u201ca:b\u201d", "account 1 has a key that stands in curly quotes"},
           {"AI_KEYS=a:b,\"c:d\"", "account 2 has a key with a quote"},
           {"AI_KEYS=\" , | ,\"", "holds no key"},
           {"AI_KEYS=", "is blank; write AI_KEYS="},
           {"CUSTOM_ACCESS_KEY=\"\"", "is blank; write CUSTOM_ACCESS_KEY="},
           {"CUSTOM_ACCESS_KEY=\" key \"", "begins or ends with a blank"},
           {"CUSTOM_ACCESS_KEY=\"a\\nb\"", "a control character"},
           {"SUPPORTED_MODELS=", "is blank; write SUPPORTED_MODELS=name:endpoint"},
           {"SUPPORTED_MODELS=\" , \"", "holds no model"},
           {"SUPPORTED_MODELS=a:b/c,flux", "entry 2 has no ':'"},
           {"SUPPORTED_MODELS=:b/c", "entry 1 has no name"},
           {"SUPPORTED_MODELS=" + std::string(257, 'n') + ":b/c", "a name of more than 256 bytes"},
           {"SUPPORTED_MODELS=a b:b/c", "entry 1 has a blank in its name"},
           {"SUPPORTED_MODELS=a:b/c d:e/f", "entry 1 ('a'): its endpoint"},
           {"SUPPORTED_MODELS=a:", "entry 1 ('a'): its endpoint is empty"},
           {"SUPPORTED_MODELS=a:b", "entry 1 ('a'): its endpoint must look like owner/name"},
           {"SUPPORTED_MODELS=a:b/c/d/e/f/g/h/i", "has more than 7 parts"},
           {"SUPPORTED_MODELS=a:workflows/b", "must look like workflows/owner/name"},
           {"SUPPORTED_MODELS=a:b//c", "entry 1 ('a'): its endpoint"},
           {"SUPPORTED_MODELS=a:b/../c", "entry 1 ('a'): its endpoint"},
           {"SUPPORTED_MODELS=a:https://fal.run/b/c", "entry 1 ('a'): its endpoint"},
           {"SUPPORTED_MODELS=a:b/c:d", "entry 1 ('a'): its endpoint"},
           {"SUPPORTED_MODELS=a:b/c+", "entry 1 ('a'): its edit endpoint is empty"},
           {"SUPPORTED_MODELS=a:b/c+d", "entry 1 ('a'): its edit endpoint"},
           {"SUPPORTED_MODELS=a:b/c,d:e/f,a:g/h", "entry 3 repeats the name 'a'"},
       }) {
    CAPTURE(c.line);
    const auto faults = read_bad(std::string(needed) + "\n" + c.line + "\n");
    REQUIRE(faults.size() == 1);
    const SettingsFault& fault = faults.front();
    CAPTURE(to_string(fault));
    CHECK(fault.file == ".env");
    CHECK(fault.line == 5);
    CHECK(fault.variable == c.line.substr(0, c.line.find('=')));
    CHECK(to_string(fault).find(c.part) != std::string::npos);
    CHECK_FALSE(fault.mend.empty());
  }
}

TEST_CASE("an endpoint id is a default model where any model is allowed") {
  CHECK(read_good(std::string(needed) + "DEFAULT_MODEL=fal-ai/flux/schnell\nALLOW_ANY_MODEL=true")
            .default_model == "fal-ai/flux/schnell");
  CHECK(read_bad(std::string(needed) + "DEFAULT_MODEL=other\nALLOW_ANY_MODEL=true").size() == 1);
}

TEST_CASE(
    "without any setting the three that are needed are named, and the file to write them in") {
  const auto faults = read_bad("");
  REQUIRE(faults.size() == 3);
  CHECK(to_string(faults[0]) ==
        ".env: CUSTOM_ACCESS_KEY: is missing; write CUSTOM_ACCESS_KEY=the key that clients shall "
        "send");
  CHECK(faults[1].variable == "AI_KEYS");
  CHECK(faults[2].variable == "SUPPORTED_MODELS");
}

TEST_CASE("all faults come at once, the environment's first, then by line") {
  const auto faults = read_bad("SUPPORTED_MODELS=a,b:c\nPORT=x\n\nDEBUG_MODE=x\nAI_KEYS=k\n",
                               {{"HOST", "a b"}, {"KEEPALIVE_SECONDS", "x"}});
  std::vector<std::string> places;
  for (const SettingsFault& fault : faults)
    places.push_back(fault.file + ":" + std::to_string(fault.line) + ":" + fault.variable);
  CHECK(places == std::vector<std::string>{":0:HOST", ":0:KEEPALIVE_SECONDS",
                                           ".env:0:CUSTOM_ACCESS_KEY", ".env:1:SUPPORTED_MODELS",
                                           ".env:1:SUPPORTED_MODELS", ".env:2:PORT",
                                           ".env:4:DEBUG_MODE"});
  CHECK(to_string(faults[0]) ==
        "environment: HOST: is no address to listen on; write HOST=0.0.0.0, HOST=:: or HOST=*, or "
        "one address of this machine, without http:// and without a port");
  CHECK(to_string(faults[5]) ==
        ".env:2: PORT: is not a whole number; write a number from 0 to 65535");
}

TEST_CASE("no fault holds a secret, wherever it stands") {
  const std::string secret = "s3cr3t-s3cr3t";
  std::vector<std::string> lines;
  for (const falproxy::SettingInfo& info : falproxy::all_settings()) {
    const std::string name(info.name);
    lines.push_back(name + "=" + secret);
    lines.push_back(name + "=\" " + secret + "\"");
    lines.push_back(name + "=\"" + secret + " x\"");
    lines.push_back(name + "=\"x\\n" + secret + "\"");
    lines.push_back(name + "=" + secret + "=");
    lines.push_back(name + "=" + secret + "," + secret);
    lines.push_back(name + "=id:" + secret);
    lines.push_back(name + "=a=" + secret + ",a=" + secret);
    lines.push_back(name + "=a=" + secret + ",b=" + secret);
    lines.push_back(name + "=" + secret + "#x");
  }
  int refused = 0;
  for (const std::string& line : lines) {
    CAPTURE(line);
    const EnvFile env = parse_env(needed + line, ".env");
    const auto read = read_settings(env, {});
    std::string all;
    if (!read.has_value()) {
      ++refused;
      for (const SettingsFault& fault : read.error()) all += to_string(fault) + "\n";
    }
    for (const SettingsFault& warning : settings_warnings(env)) all += to_string(warning) + "\n";
    if (read) {
      for (const SettingsFault& warning : value_warnings(*read, env, {}))
        all += to_string(warning) + "\n";
    }
    CHECK(all.find("s3cr3t") == std::string::npos);
  }
  CHECK(refused > 100);
}

TEST_CASE("a mistyped name in the file is warned about, a foreign one is not") {
  const EnvFile env =
      parse_env("SUPORTED_MODELS=a\nDATABASE_URL=x\nport=1\nPORTS=2\nMY_PORT=3\nX=a#b\n", "my.env");
  std::vector<std::string> all;
  for (const SettingsFault& warning : settings_warnings(env)) all.push_back(to_string(warning));
  REQUIRE(all.size() == 4);
  CHECK(all[0] ==
        "my.env:1: SUPORTED_MODELS: is no setting of falproxy and is ignored; did you mean "
        "SUPPORTED_MODELS?");
  CHECK(all[1] == "my.env:3: port: is no setting of falproxy and is ignored; did you mean PORT?");
  CHECK(all[2] == "my.env:4: PORTS: is no setting of falproxy and is ignored; did you mean PORT?");
  CHECK(all[3].starts_with("my.env:6: X: the value ends before '#'"));
}

TEST_CASE("a value that is hardly meant is warned about, without showing it") {
  const auto warnings = [](const std::string& keys, const std::string& access_key) {
    const EnvFile env = parse_env(
        "SUPPORTED_MODELS=a:fal-ai/a\nAI_KEYS=" + keys + "\nCUSTOM_ACCESS_KEY=" + access_key + "\n",
        "my.env");
    std::vector<std::string> all;
    for (const SettingsFault& warning : value_warnings(*read_settings(env, {}), env, {}))
      all.push_back(to_string(warning));
    return all;
  };
  CHECK(warnings("id:secret|id2:secret2,id3:secret3", "a-key-that-is-long-enough").empty());
  for (const std::string key : {"fal-key", "a:b:c", ":b", "a:", "a:b;c:d"}) {
    CAPTURE(key);
    CHECK(warnings("id:secret," + key, "a-key-that-is-long-enough") ==
          std::vector<std::string>{
              "my.env:2: AI_KEYS: key 2 is not id:secret, as fal's keys are; copy the whole key "
              "from fal.ai/dashboard/keys; separate keys by ','"});
  }
  CHECK(
      warnings("id:secret", "choose-a-key-for-your-clients") ==
      std::vector<std::string>{
          "my.env:3: CUSTOM_ACCESS_KEY: holds the key of .env.example, which everybody knows; make "
          "one with: openssl rand -hex 24"});
}

TEST_CASE("an access key that may be guessed is warned about") {
  const EnvFile env = parse_env(
      "SUPPORTED_MODELS=a:fal-ai/a\nAI_KEYS=id:secret\nCUSTOM_ACCESS_KEY=123456789012345\n"
      "ACCESS_KEYS=web=1234567890123456,app=abcdefgh\nADMIN_KEY=admin-key\n",
      "my.env");
  std::vector<std::string> all;
  for (const SettingsFault& warning : value_warnings(*read_settings(env, {}), env, {}))
    all.push_back(to_string(warning));
  const std::string what =
      "has fewer than 16 characters, and may be guessed; make one with: openssl rand -hex 24";
  CHECK(all == std::vector<std::string>{"my.env:3: CUSTOM_ACCESS_KEY: " + what,
                                        "my.env:4: ACCESS_KEYS: the key of entry 2 " + what,
                                        "my.env:5: ADMIN_KEY: " + what});
}

TEST_CASE(
    "a value of the environment that is wholly in one pair of quotes loses them, and a warning "
    "says so") {
  struct Case {
    std::string value;
    std::string want;
    std::size_t warnings;
  };
  for (const Case& c : std::vector<Case>{{"\"a,b\"", "a,b", 1},
                                         {"'a,b'", "a,b", 1},
                                         {"`a b`", "a b", 1},
                                         {" \"a\" ", "a", 1},
                                         {"\"\"", "", 1},
                                         {"a\"b\"", "a\"b\"", 0},
                                         {"\"a\",\"b\"", "\"a\",\"b\"", 1},
                                         {"\"a", "\"a", 1},
                                         {"\"", "\"", 1},
                                         {"a", "a", 0}}) {
    CAPTURE(c.value);
    const auto tidy = falproxy::tidy_environment({{"AI_KEYS", c.value},
                                                  {"AI_KEYS_FILE", c.value},
                                                  {"PATH", c.value},
                                                  {"https_proxy", c.value}});
    CHECK(tidy.variables.at("https_proxy") == c.want);
    CHECK(tidy.variables.at("AI_KEYS") == c.want);
    CHECK(tidy.variables.at("AI_KEYS_FILE") == c.want);
    CHECK(tidy.variables.at("PATH") == c.value);
    REQUIRE(tidy.warnings.size() == 3 * c.warnings);
    for (const SettingsFault& warning : tidy.warnings) {
      CHECK(warning.variable != "PATH");
      CHECK(to_string(warning).find("--env-file") != std::string::npos);
    }
  }
}

TEST_CASE("a Kubernetes service link is no port, and a warning says so") {
  for (const std::string name : {"PORT", "METRICS_PORT"}) {
    const auto tidy = falproxy::tidy_environment(
        {{name, "tcp://10.0.0.1:9090"}, {"OTHER_PORT", "tcp://10.0.0.1:9090"}, {"HOST", "::"}});
    CHECK_FALSE(tidy.variables.contains(name));
    CHECK(tidy.variables.contains("OTHER_PORT"));
    REQUIRE(tidy.warnings.size() == 1);
    CHECK(to_string(tidy.warnings.front()) ==
          "environment: " + name +
              ": is a Kubernetes service link, and is ignored; write enableServiceLinks: false in "
              "the pod's spec, or rename the Service");
    CHECK(read_good(needed, tidy.variables).metrics_port == 0);
  }
  CHECK(falproxy::tidy_environment({{"PORT", "80"}, {"METRICS_PORT", "x"}}).warnings.empty());
}

TEST_CASE("the file that a setting that holds keys is read from may be named, and no other") {
  const EnvFile env = parse_env(
      "AI_KEYS_FILE=a\nCUSTOM_ACCESS_KEY_FILE=a\nACCESS_KEYS_FILE=a\nADMIN_KEY_FILE=a\n"
      "DEFAULT_MODEL_FILE=a\nMODELS_FILES=a\n",
      "my.env");
  std::string warned;
  for (const SettingsFault& warning : settings_warnings(env)) warned += warning.variable + " ";
  CHECK(warned == "DEFAULT_MODEL_FILE MODELS_FILES ");
}

TEST_CASE("state cannot be needed and kept nowhere") {
  const auto read = read_settings(
      parse_env(std::string(needed) + "STATE_DIR=none\nREQUIRE_STATE=true\n", ".env"), {});
  REQUIRE_FALSE(read);
  CHECK(to_string(read.error().front()) ==
        ".env:4: STATE_DIR: is none, and REQUIRE_STATE is true; name a folder, or leave "
        "REQUIRE_STATE out");
  CHECK(read_good(std::string(needed) + "STATE_DIR=state\nREQUIRE_STATE=true\n").require_state);
}

TEST_CASE("two servers cannot have one port") {
  const auto read =
      read_settings(parse_env(std::string(needed) + "PORT=8000\nMETRICS_PORT=8000\n", ".env"), {});
  REQUIRE_FALSE(read);
  CHECK(read.error().front().variable == "METRICS_PORT");
}

TEST_CASE("the address of what replicas share is read in each of its forms") {
  const auto address = [](const std::string& text) {
    return *read_good(std::string(needed) + "STATE_URL=" + text + "\n").state_url;
  };
  using falproxy::StateAddress;
  CHECK(address("redis://cache") == StateAddress{.hosts = {{"cache", 6379}}});
  CHECK(address("rediss://ann:p%40ss%25@Cache.example.com:7000/2?bound_ms=50") ==
        StateAddress{.hosts = {{"cache.example.com", 7000}},
                     .tls = true,
                     .user = "ann",
                     .password = Secret("p@ss%"),
                     .database = 2,
                     .bound = falproxy::Milliseconds(50)});
  CHECK(address("redis://:only@[2001:db8::1]:7000") ==
        StateAddress{.hosts = {{"2001:db8::1", 7000}}, .password = Secret("only")});
  CHECK(address("unix:/run/redis/redis.sock?db=1") ==
        StateAddress{.socket = "/run/redis/redis.sock", .database = 1});
  CHECK(address("redis+sentinel://:p@s1,s2:26400/mymaster/4") ==
        StateAddress{.hosts = {{"s1", 26379}, {"s2", 26400}},
                     .master = "mymaster",
                     .password = Secret("p"),
                     .database = 4});
  CHECK_FALSE(read_good(std::string(needed) + "STATE_URL=none\n").state_url.has_value());
}

TEST_CASE("an address of what replicas share that is wrong is told without its password") {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c : {
           Case{"http://cache", "is no address of a Redis"},
           Case{"redis:/cache", "is no address of a Redis"},
           Case{"redis://", "names no host"},
           Case{"redis://:s3cr3t@cache:0", "names no host"},
           Case{"redis://:s3cr3t@cache:70000", "names no host"},
           Case{"redis://:s3cr3t@ca che", "names no host"},
           Case{"redis://[::1", "names no host"},
           Case{"redis://:s3cr3t@a,b", "names several hosts"},
           Case{"redis://:s3cr3t%zz@a", "has a '%' in its user or password that is no %XX"},
           Case{"redis://:s3cr3t@a/one", "has a database that is no number"},
           Case{"redis://:s3cr3t@a/-1", "has a database that is no number"},
           Case{"redis://:s3cr3t@a?db=1", "has a parameter that it does not know"},
           Case{"redis://:s3cr3t@a?bound_ms=0", "has a bound_ms that is not 1 to 5000"},
           Case{"redis+sentinel://:s3cr3t@a", "does not say what the Sentinels call the master"},
           Case{"unix:redis.sock", "names no socket"},
       }) {
    CAPTURE(c.text);
    const auto read =
        read_settings(parse_env(std::string(needed) + "STATE_URL='" + c.text + "'\n", ".env"), {});
    REQUIRE_FALSE(read.has_value());
    const std::string told = to_string(read.error().front());
    CHECK(told.find(c.message) != std::string::npos);
    CHECK(told.find("s3cr3t") == std::string::npos);
  }
}

TEST_CASE("a place for kept files is read with its parameters") {
  using falproxy::MediaAccess;
  using falproxy::MediaPlace;
  const auto place = [](const std::string& text) {
    return read_good(std::string(needed) + "MEDIA_STORE=" + text + "\n").media_store;
  };
  CHECK_FALSE(read_good(needed).media_store.has_value());
  CHECK_FALSE(place("none").has_value());
  CHECK(place("dir:/var/lib/media") == MediaPlace{.folder = "/var/lib/media"});
  CHECK(place("dir:./a%20b?ttl_days=0&max_bytes=5MB&access=signed&link_hours=2") ==
        MediaPlace{.folder = "./a b",
                   .ttl = std::chrono::days(0),
                   .max_bytes = 5'000'000,
                   .access = MediaAccess::signed_link,
                   .link_life = std::chrono::hours(2)});
  CHECK(place("s3://my-bucket") == MediaPlace{.bucket = "my-bucket"});
  CHECK(place("s3://my-bucket/a/b/?endpoint=https%3A%2F%2Fs3.example.com&region=eu-1&"
              "virtual_host=true&access=key") == MediaPlace{.bucket = "my-bucket",
                                                            .prefix = "a/b",
                                                            .endpoint = "https://s3.example.com",
                                                            .region = "eu-1",
                                                            .virtual_host = true,
                                                            .access = MediaAccess::key});
  CHECK(read_good(std::string(needed) + "PUBLIC_URL=https://a.example/b/\n").public_url ==
        "https://a.example/b");
}

TEST_CASE("what is wrong with a place for kept files is told with its parameter") {
  struct Case {
    std::string text, message, mend;
  };
  for (const Case& c : {
           Case{"/var/lib/media", "is no place for files", "write dir:/path"},
           Case{"dir:", "names no folder", "write dir:/path"},
           Case{"s3://A", "names no bucket", "write s3://bucket"},
           Case{"dir:/a?ttl=3", "has a parameter that it does not know", "it knows ttl_days"},
           Case{"dir:/a?region=x", "has a parameter that it does not know", "it knows ttl_days"},
           Case{"dir:/a?ttl_days=soon", "ttl_days is not a whole number", "from 0 to"},
           Case{"dir:/a?max_bytes=lots", "max_bytes is not a size", "GiB"},
           Case{"dir:/a?acces=key", "has a parameter that it does not know",
                "did you mean access?"},
           Case{"dir:/a?access=open", "access is not one of", "write access=public"},
           Case{"s3://bucket?endpoint=https://a/b", "endpoint has a path", "https://host"},
       }) {
    CAPTURE(c.text);
    const auto faults = read_bad(std::string(needed) + "MEDIA_STORE=" + c.text + "\n");
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].variable == "MEDIA_STORE");
    CHECK(faults[0].message.starts_with(c.message));
    CHECK(faults[0].mend.find(c.mend) != std::string::npos);
  }
  const auto faults = read_bad(std::string(needed) + "MEDIA_STORE=dir:/a\nSTATE_DIR=none\n");
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].message.starts_with("needs STATE_DIR"));
}
