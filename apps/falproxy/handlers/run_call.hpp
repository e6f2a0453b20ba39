// run_call.hpp: requests that are answered with the files of one run: whole, with blanks while it
// runs, or as events.
#pragma once

#include <memory>
#include <optional>

#include "feed.hpp"
#include "handlers/wish_call.hpp"

namespace falproxy::app {

/// One class for each surface derives from it.
class RunCall : public WishCall {
 protected:
  using WishCall::WishCall;

  /// Runs the wish, and answers it by answer_to() or, if `events` is set, by the events.
  serving::Response answer_by_run(Wish wish, bool events);

  /// On a fiber of its own.
  virtual Outcome run(Wish wish, const CallContext& context) {
    return parts_.runner.handle(std::move(wish), context);
  }
  /// See Feed::Write; on the threads of the jobs.
  [[nodiscard]] virtual Feed::Write event_writer() const = 0;
  /// Goes out once the answer has begun, before its end is known.
  virtual Body first_events() { return {}; }
  /// What ends the stream; tells what became of the request, by done().
  virtual Body last_events(Feed& feed, const Facts& facts) = 0;
  /// The whole answer; tells what became of the request.
  virtual serving::Response answer_to(Outcome outcome) = 0;
  /// last_events() of surfaces whose events are files. `tells_shortfall`: an error follows the
  /// files if there are fewer than were asked for.
  Body end_of_files(Feed& feed, const Facts& facts, bool tells_shortfall);

 private:
  serving::Response while_it_runs(Wish wish, Feed::Kind kind);
  serving::Response events_at_once(Feed& feed);
};

}  // namespace falproxy::app
