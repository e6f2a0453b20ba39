// Tests what asks fal without a network and without waiting: in_process_fal
//
// fal.ai is a FalDesk in this process, and a minute of a job is a minute of a virtual clock. Here
// two things go wrong on the way, and the picture comes all the same. It needs nothing but
// `falproxy::testing`.
#include <falproxy/fal_desk.hpp>
#include <falproxy/falproxy.hpp>
#include <iostream>

int main() {
  using namespace std::chrono_literals;
  using namespace falproxy::testing;

  VirtualClock clock;
  InProcessFal fal(clock, {.job_time = 60s});
  fal.desk().add_fault(*Fault::preset("stream_dies"));
  Fault lost = *Fault::preset("result_503");
  lost.times = 1;
  fal.desk().add_fault(lost);

  falproxy::InlineExecutor executor;
  const PlainCodecs codecs;
  const auto endpoint = falproxy::fal::EndpointId::parse("fal-ai/flux/dev");
  falproxy::KeyRing keys({{falproxy::Secret("id:secret")}}, {});
  falproxy::Catalog catalog({.transport = fal, .clock = clock, .executor = executor},
                            {.fal = InProcessFal::addresses()},
                            {{"flux", *endpoint, std::nullopt, {}}}, {});
  falproxy::Runner runner(
      {.transport = fal,
       .clock = clock,
       .executor = executor,
       .codecs = codecs,
       .keys = keys,
       .catalog = catalog},
      {.fal = InProcessFal::addresses(),
       .media_hosts = *falproxy::fal::MediaHosts::parse(InProcessFal::media_hosts)});

  falproxy::Wish request;
  request.prompt = "a lighthouse at dusk";
  request.size = {falproxy::SizeWish::Kind::pixels, 512, 512};
  request.response_format = falproxy::ResponseFormat::b64_json;
  const falproxy::TimePoint began = clock.now();
  const falproxy::Outcome outcome = runner.handle(request, {.deadline = began + 5min});
  if (!outcome.response) return std::cerr << outcome.response.error().message << '\n', 1;

  const auto picture = codecs.decode_base64(outcome.response->front().content.str());
  const DeskStats stats = fal.desk().stats();
  std::cout << picture.value_or("").size() << " bytes of picture after "
            << std::chrono::floor<falproxy::Seconds>(clock.now() - began).count() << " s, "
            << stats.submits << " submit, " << stats.faults.size() << " faults\n";
  return stats.submits == 1 && stats.faults.size() == 2 ? 0 : 1;
}
