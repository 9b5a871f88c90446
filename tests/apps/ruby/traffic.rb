# What tests/apps/traffic.py does for Python: requests by several threads, counted by step. A line on stdin ends a step.
require 'json'

class Traffic
  def initialize(requests, workers: 3)
    @lock = Mutex.new
    clear
    @stopped = false
    @threads = workers.times.map { Thread.new { work(requests) } }
  end

  def serve
    say 'ready'
    $stdin.each_line { say take }
    @stopped = true
    @threads.each(&:join)
    say take
  end

  private

  def clear
    @requests, @errors, @longest, @first, @last = 0, Hash.new(0), 0.0, nil, 0.0
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def work(requests)
    until @stopped
      name, request = requests.to_a.sample
      begun = now
      begin
        request.call
        error = nil
      rescue StandardError => e
        error = "#{name}: #{e.class}: #{e.message.lines.first.to_s.strip}"
      end
      count(error, now - begun)
      sleep rand * 0.04
    end
  end

  def count(error, took)
    @lock.synchronize do
      @requests += 1
      @longest = [@longest, took].max
      next unless error

      @errors[error] += 1
      @first ||= now
      @last = now
    end
  end

  def take
    @lock.synchronize do
      told = { requests: @requests, errors: @errors, failing_s: @first ? (@last - @first).round(3) : 0.0, longest_ms: (@longest * 1000).round }
      clear
      told.to_json
    end
  end

  def say(line)
    $stdout.puts line
    $stdout.flush
  end
end
