import java.io.FileInputStream;

public class Tick {
	/** CLOCK_BOOTTIME, milliseconds. Not by java.nio, which makes sockets. */
	static long uptime() throws Exception {
		try (FileInputStream in = new FileInputStream("/proc/uptime")) {
			return (long) (1000 * Double.parseDouble(new String(in.readAllBytes()).split(" ")[0]));
		}
	}

	public static void main(String[] args) throws Exception {
		long last = System.nanoTime();
		long lastUptime = uptime();
		for (;;) {
			Thread.sleep(100);
			long now = System.nanoTime();
			long nowUptime = uptime();
			System.out.write(("java " + (now - last) / 1000000 + " " + (nowUptime - lastUptime) + "\n").getBytes());
			System.out.flush();
			last = now;
			lastUptime = nowUptime;
		}
	}
}
