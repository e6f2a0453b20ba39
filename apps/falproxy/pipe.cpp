#include "pipe.hpp"

#include <utility>

namespace falproxy::app {

void Pipe::ring(std::unique_lock<std::mutex> lock) {
  Bell::Ring wake = changed_.take();
  lock.unlock();
  wake();
}

bool Pipe::push(std::string_view bytes, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (bytes_.size() >= room && !closed_ && !stop.stop_requested())
    changed_.wait(lock, clock_, no_deadline, stop);
  if (closed_ || stop.stop_requested()) return false;
  bytes_.append(bytes);
  ring(std::move(lock));
  return true;
}

void Pipe::end(Result<Done> how) {
  std::unique_lock lock(mutex_);
  end_ = std::move(how);
  ring(std::move(lock));
}

void Pipe::begin() {
  std::unique_lock lock(mutex_);
  begun_ = true;
  ring(std::move(lock));
}

void Pipe::wait_to_begin() {
  std::unique_lock lock(mutex_);
  while (!begun_ && bytes_.empty() && !end_) changed_.wait(lock, clock_, no_deadline, {});
}

std::string Pipe::look(std::size_t least) {
  std::unique_lock lock(mutex_);
  while (bytes_.size() < least && !end_) changed_.wait(lock, clock_, no_deadline, {});
  return bytes_.substr(0, least);
}

std::string Pipe::take() {
  std::unique_lock lock(mutex_);
  while (bytes_.empty() && !end_) changed_.wait(lock, clock_, no_deadline, {});
  std::string taken = std::exchange(bytes_, {});
  ring(std::move(lock));
  return taken;
}

Result<Done> Pipe::ending() {
  const std::lock_guard lock(mutex_);
  return end_.value_or(Result<Done>(Done{}));
}

void Pipe::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  ring(std::move(lock));
}

}  // namespace falproxy::app
