public class Tick {
	public static void main(String[] args) throws Exception {
		long last = System.nanoTime();
		for (;;) {
			Thread.sleep(100);
			long now = System.nanoTime();
			System.out.write(("java " + (now - last) / 1000000 + "\n").getBytes());
			System.out.flush();
			last = now;
		}
	}
}
